/** Where a browser signs in: the authorization endpoint with its page (RFC 6749, 4.1.1; RFC 9700). */
import { type ApiContext, type App, json, readForm } from "../http/mod.ts";
import type { PasswordGate } from "../users/mod.ts";
import type { AuthCodes } from "./auth_codes.ts";
import { addressOf, html, refuseOtherPages } from "./device_pages.ts";
import { donePage, escape, page, pagePolicy } from "./page.ts";
import { knownScopes, WEB_SCOPE } from "./tokens.ts";

/** The dashboard, the one client that a browser is sent back to. */
export const WEB_CLIENT = "nexd-dashboard";

/** What the page carries from the request to the answer; each is sent once or not at all. */
const FIELDS = [
  ...["response_type", "client_id", "redirect_uri", "scope", "state", "nonce"],
  ...["code_challenge", "code_challenge_method"],
] as const;
type Asked = ReadonlyMap<string, string>;

/** Longest value of any of them, in characters. */
const MAX_FIELD = 512;

interface Deps {
  url: () => string;
  dashboard: () => string;
  codes: AuthCodes;
  gate: PasswordGate;
}

/** Adds the page, and what the dashboard has to know to lead there. */
export function authorizeRoutes(app: App, deps: Deps): void {
  const { url, dashboard, codes, gate } = deps;

  app.get("/web/sign-in", () => {
    // All of it is at the dashboard's own origin: one name to resolve, one certificate to trust.
    const redirect_uri = dashboard();
    return json({
      issuer: url(),
      client_id: WEB_CLIENT,
      authorization_endpoint: new URL("/oauth/authorize", redirect_uri).href,
      token_endpoint: "/oauth/token",
      revocation_endpoint: "/oauth/revoke",
      redirect_uri,
      scope: WEB_SCOPE,
    });
  });

  app.get("/oauth/authorize", (c) => {
    const asked = askedOf(new URL(c.req.url).searchParams);
    return refusalOf(asked) ?? show(asked!);
  });

  app.post("/oauth/authorize", async (c) => {
    refuseOtherPages(c);
    const form = await readForm(c.req.raw);
    const asked = askedOf(form);
    const refusal = refusalOf(asked);
    if (refusal !== undefined) return refusal;
    return await signIn(c, asked!, form.get("username") ?? "", form.get("password") ?? "");
  });

  async function signIn(c: ApiContext, asked: Asked, username: string, password: string) {
    const signedIn = await gate.signIn(username, password, addressOf(c), c.get("requestId"));
    const again = (status: number, error: string, headers: Record<string, string> = {}) =>
      show(asked, { username: username.slice(0, 255), error }, status, headers);
    if ("account" in signedIn) {
      const code = await codes.make(signedIn.account, {
        clientId: WEB_CLIENT,
        redirectUri: dashboard(),
        challenge: asked.get("code_challenge")!,
        scope: knownScopes(asked.get("scope") ?? ""),
        nonce: asked.get("nonce") ?? "",
      });
      return back(asked, { code });
    }
    if (signedIn.refused === "wrong") return again(401, "The user name or the password is wrong.");
    if (signedIn.refused === "disabled") return again(403, "This account is disabled.");
    return again(429, `Too many tries: wait ${signedIn.seconds} seconds.`, {
      "retry-after": String(signedIn.seconds),
    });
  }

  /** Why a request is not served. Until client and address are known it leads nowhere. */
  function refusalOf(asked: Asked | undefined): Response | undefined {
    if (asked?.get("client_id") !== WEB_CLIENT || asked.get("redirect_uri") !== dashboard()) {
      const sentence = "Whatever led here is not known, so nobody can sign in for it. The " +
        "dashboard of this control plane leads here by itself.";
      return html(donePage("Nobody to sign in for", sentence), 400);
    }
    if (asked.get("response_type") !== "code") {
      return back(asked, { error: "unsupported_response_type" });
    }
    const good = asked.get("code_challenge_method") === "S256" &&
      /^[\w-]{43}$/.test(asked.get("code_challenge") ?? "");
    return good ? undefined : back(asked, {
      error: "invalid_request",
      error_description: "code_challenge with S256 is needed",
    });
  }

  /** Sends the browser back, with whose answer it is (RFC 9207). */
  function back(asked: Asked, answer: Record<string, string>): Response {
    const location = new URL(dashboard());
    const state = asked.get("state");
    location.search = new URLSearchParams({
      ...answer,
      ...(state === undefined ? {} : { state }),
      iss: url(),
    }).toString();
    return new Response(null, {
      status: 303,
      headers: { location: location.href, "referrer-policy": "no-referrer" },
    });
  }

  function show(
    asked: Asked,
    view: { username?: string; error?: string } = {},
    status = 200,
    headers: Record<string, string> = {},
  ): Response {
    // Browsers hold a form to the places that its answer may lead to.
    const policy = pagePolicy(new URL(dashboard()).origin);
    return html(form(asked, view), status, { ...headers, "content-security-policy": policy });
  }
}

/** The fields that are known; undefined when one is there twice or too long. */
function askedOf(given: URLSearchParams): Asked | undefined {
  const asked = new Map<string, string>();
  for (const name of FIELDS) {
    const values = given.getAll(name);
    if (values.length > 1 || (values[0]?.length ?? 0) > MAX_FIELD) return undefined;
    if (values[0] !== undefined) asked.set(name, values[0]);
  }
  return asked;
}

function form(asked: Asked, { username = "", error }: { username?: string; error?: string }) {
  const hidden = [...asked].map(([name, value]) =>
    `<input type="hidden" name="${name}" value="${escape(value)}">`
  );
  const alert = error === undefined
    ? ""
    : `<p class="error" id="error" role="alert">${escape(error)}</p>`;
  const described = error === undefined ? "" : ' aria-describedby="error"';
  const focus = (here: boolean) => here ? " autofocus" : "";
  return page(
    "Sign in to nexd",
    `${alert}
<form method="post" action="/oauth/authorize">
${hidden.join("\n")}
<label for="username">User name</label>
<input id="username" name="username" required maxlength="255" autocomplete="username" autocapitalize="none" spellcheck="false" value="${
      escape(username)
    }"${described}${focus(username === "")}>
<label for="password">Password</label>
<input id="password" name="password" type="password" required maxlength="1024" autocomplete="current-password"${
      focus(username !== "")
    }>
<div class="actions"><button>Sign in</button></div>
</form>`,
  );
}
