/** What clients are told of the issuer, and the dashboard's way to its token endpoint. */
import { getLogger } from "@logtape/logtape";
import { type ApiContext, type App, json, originOf, Problem, readForm } from "../http/mod.ts";
import { WEB_SCOPE } from "../issuer/mod.ts";
import { Attempts, networkOf } from "../users/mod.ts";
import type { OidcOptions } from "./mod.ts";
import { needed } from "./ask.ts";
import type { Answer } from "./ask.ts";
import type { RemoteIssuer } from "./remote.ts";
import type { IssuerSignIns } from "./sign_ins.ts";

const log = getLogger(["nexd", "control", "oidc"]);

/** Sign-ins and renewals of an address in a row, and one more each so many milliseconds. */
const RELAYED = { burst: 60, everyMs: 2_000 };

/** Fields of a request to the token endpoint that the dashboard sends. */
const FIELDS: Record<string, readonly string[]> = {
  authorization_code: ["code", "code_verifier", "redirect_uri"],
  refresh_token: ["refresh_token"],
};

/** Adds the routes. Our own issuer's are not there: nothing here takes its tokens. */
export function oidcRoutes(
  app: App,
  deps: OidcOptions & { remote: RemoteIssuer; signIns: IssuerSignIns; now: () => number },
): void {
  const { remote, issuer, clientId, webClientId, webClientSecret, dashboard, now } = deps;
  const relayed = new Attempts(RELAYED, now);

  app.post("/device/login/start", async () => {
    const { device } = await needed(remote.metadata());
    return json({
      ...(device === undefined ? {} : { device_authorization_endpoint: device }),
      issuer,
      client_id: clientId,
      server_time: new Date(now()).toISOString(),
    });
  });

  app.get("/web/sign-in", async () => {
    const { authorization } = await needed(remote.metadata());
    return json({
      issuer,
      client_id: webClientId,
      authorization_endpoint: authorization,
      token_endpoint: "/web/token",
      revocation_endpoint: "/web/revoke",
      redirect_uri: dashboard(),
      scope: WEB_SCOPE,
    });
  });

  // The page may speak to this origin alone, and not every issuer lets pages of others speak to it.
  app.post("/web/token", async (c) => {
    const given = await formOf(c);
    const grant = given.get("grant_type") ?? "";
    const fields = Object.hasOwn(FIELDS, grant) ? FIELDS[grant]! : undefined;
    if (fields === undefined) return json({ error: "unsupported_grant_type" }, 400);
    const form = new URLSearchParams({ grant_type: grant });
    for (const name of fields) form.set(name, given.get(name) ?? "");
    if (grant === "authorization_code" && form.get("redirect_uri") !== dashboard()) {
      return json({ error: "invalid_grant" }, 400);
    }
    const { token } = await needed(remote.metadata());
    const { status, body } = await needed(asClient(token, form));
    if (grant === "authorization_code" && status >= 400 && status < 500) {
      await deps.signIns.refused(clause(body.error), originOf(c));
    }
    if (status === 401 || body.error === "invalid_client") {
      log.warn(
        "the issuer does not take {client} for its client: {error}; check its id and secret",
        {
          client: webClientId,
          error: clause(body.error),
        },
      );
    }
    return json(body, status >= 200 && status < 600 ? status : 502);
  });

  app.post("/web/revoke", async (c) => {
    const given = await formOf(c);
    const { revocation } = await needed(remote.metadata());
    if (revocation !== undefined) {
      const form = new URLSearchParams({
        token: given.get("token") ?? "",
        token_type_hint: "refresh_token",
      });
      // Most answer with nothing at all, which is no JSON.
      await asClient(revocation, form).catch(() => undefined);
    }
    return new Response(null, { status: 200 });
  });

  /** Asks in the name of the dashboard's client, with its secret if it has one. */
  async function asClient(url: string, form: URLSearchParams): Promise<Answer> {
    if (webClientSecret === undefined) {
      form.set("client_id", webClientId);
      return await remote.ask(url, { form });
    }
    const { secretInForm } = await remote.metadata();
    if (!secretInForm) {
      return await remote.ask(url, { form, basic: [webClientId, webClientSecret] });
    }
    form.set("client_id", webClientId);
    form.set("client_secret", webClientSecret);
    return await remote.ask(url, { form });
  }

  async function formOf(c: ApiContext): Promise<URLSearchParams> {
    const site = c.req.header("sec-fetch-site");
    if (site !== undefined && site !== "same-origin") {
      throw new Problem(403, { error: "this form was sent by another page" });
    }
    const network = networkOf(c.env?.remoteAddr?.hostname ?? "");
    const wait = relayed.wait(network);
    if (wait > 0) {
      const seconds = Math.ceil(wait / 1000);
      throw new Problem(429, { error: "too many requests", reason: `wait ${seconds} s` }, {
        "retry-after": String(seconds),
      });
    }
    relayed.take(network);
    return await readForm(c.req.raw);
  }
}

/** An error code of OAuth, as it may be logged. */
function clause(error: unknown): string {
  return typeof error === "string" && /^[\x20-\x7e]{1,64}$/.test(error) ? error : "refused";
}
