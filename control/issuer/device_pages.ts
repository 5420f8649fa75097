import { getLogger } from "@logtape/logtape";
import { type ApiContext, type App, originOf, Problem, readForm } from "../http/mod.ts";
import { Attempts, networkOf, type PasswordGate } from "../users/mod.ts";
import { type DeviceCodes, userCode } from "./device_codes.ts";
import { donePage, formPage, type FormView, pagePolicy } from "./page.ts";

const log = getLogger(["nexd", "control", "issuer"]);

/** Codes that an address may look at in a row, and one more each so many milliseconds. */
const LOOKS = { burst: 60, everyMs: 2_000 };

/** The page on which a person lets a host in. */
export function devicePages(
  app: App,
  deps: { codes: DeviceCodes; gate: PasswordGate; now: () => number },
): void {
  const { codes, gate } = deps;
  const looks = new Attempts(LOOKS, deps.now);

  /** The host that waits under a code, unless this address has asked too often. */
  const look = async (c: ApiContext, code: string) => {
    const network = networkOf(addressOf(c));
    if (looks.wait(network) > 0) return undefined;
    looks.take(network);
    return await codes.find(code);
  };

  app.get("/device", async (c) => {
    const code = (c.req.query("user_code") ?? "").slice(0, 40);
    const asking = userCode(code) === undefined ? undefined : await look(c, code);
    return html(formPage({ code, asking }));
  });

  app.post("/device", async (c) => {
    refuseOtherPages(c);
    const form = await readForm(c.req.raw);
    const field = (name: string) => form.get(name) ?? "";
    const [code, username] = [field("user_code").slice(0, 40), field("username").slice(0, 255)];
    const again = async (status: number, error: string, headers: Record<string, string> = {}) => {
      const asking = await look(c, code);
      return html(formPage({ code, username, asking, error } satisfies FormView), status, headers);
    };
    const allow = field("action") === "allow";
    if (!allow && field("action") !== "deny") {
      return await again(400, "Choose one of the two buttons.");
    }
    // First who it is, so that only those who can sign in can try codes.
    const signedIn = await gate.signIn(
      username,
      field("password"),
      addressOf(c),
      c.get("requestId"),
    );
    if ("refused" in signedIn) {
      if (signedIn.refused === "wrong") {
        return await again(401, "The user name or the password is wrong.");
      }
      if (signedIn.refused === "disabled") return await again(403, "This account is disabled.");
      const { seconds } = signedIn;
      return await again(429, `Too many tries: wait ${seconds} seconds.`, {
        "retry-after": String(seconds),
      });
    }
    const { account } = signedIn;
    const row = await look(c, code);
    if (row === undefined || !await codes.decide(row, account, allow, originOf(c))) {
      return await again(
        404,
        "No host waits under this code. A code is good for ten minutes and for one use; " +
          "look at the host for the one it shows now.",
      );
    }
    log.info("{username} {did} a host at {address}", {
      username: account.username,
      did: allow ? "let in" : "turned away",
      address: row.address,
    });
    return html(
      allow
        ? donePage(
          "The host may join",
          `It joins as ${account.username} within seconds. You can close this page.`,
        )
        : donePage("The host was turned away", "It has been told so. You can close this page."),
    );
  });
}

/** Where a request came from, as an IP address. */
export function addressOf(c: ApiContext): string {
  return c.env?.remoteAddr?.hostname ?? "";
}

/**
 * The form carries the password itself and no cookie speaks for anybody, so another site's form can do
 * nothing that its maker could not do directly. It is refused all the same.
 */
export function refuseOtherPages(c: ApiContext): void {
  const origin = c.req.header("origin"), site = c.req.header("sec-fetch-site");
  const own = origin === undefined || origin === new URL(c.req.url).origin;
  if (!own || (site !== undefined && site !== "same-origin" && site !== "none")) {
    throw new Problem(403, "this form was sent by another page");
  }
}

/** A page as an answer. */
export function html(text: string, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(text, {
    status,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": pagePolicy(),
      // With `no-referrer` browsers would send the form without its origin.
      "referrer-policy": "same-origin",
      ...headers,
    },
  });
}
