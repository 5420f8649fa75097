/** An issuer of somebody else's making (npm `oidc-provider`), for the tests of this room. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer, type Server } from "node:https";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import Provider from "oidc-provider";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { SCOPES } from "../issuer/mod.ts";

/** Client of the agents, and of the dashboard. */
export const CLI = "nexodus-cli", WEB = "nexd-web";

/** Tokens as the issuer answers them. */
export interface Tokens {
  access_token: string;
  id_token: string;
  refresh_token?: string;
}

/** The issuer, on a port of its own. Whoever asks may be anybody: any login name is let in. */
export class TestIdp implements AsyncDisposable {
  url = "";
  /** The one place that the dashboard's client may send browsers to; told when it begins anew. */
  redirect: string;
  /** Of the dashboard's client; without it that is a public one. */
  secret: string | undefined;
  /** How it is sent. */
  secretBy: "client_secret_basic" | "client_secret_post" = "client_secret_basic";
  audience = "account";
  /** Further claims of access tokens. */
  claims: Record<string, unknown> = {};
  scope: string = SCOPES.filter((scope) => scope.includes(":")).join(" ");
  caCerts: string[] = [];
  readonly #dir: string;
  #key: JWK = {};
  #server!: Server;
  #port = 0;
  #tls!: { cert: string; key: string };
  // deno-lint-ignore no-explicit-any -- node's handler, with types of node
  #handler: any;
  readonly #http: Deno.HttpClient;

  private constructor(dir: string, redirect: string, client: Deno.HttpClient) {
    this.#dir = dir;
    this.redirect = redirect;
    this.#http = client;
  }

  /** @param redirect see the field */
  static async start(redirect: string): Promise<TestIdp> {
    const dir = await Deno.makeTempDir({ prefix: "nexd-idp-" });
    const { cert, key, caPath } = await ensureSelfSigned(dir, ["localhost"]);
    const caCerts = [await Deno.readTextFile(caPath)];
    const idp = new TestIdp(dir, redirect, Deno.createHttpClient({ caCerts }));
    idp.#tls = { cert, key };
    idp.caCerts = caCerts;
    await idp.listen();
    await idp.rotate();
    return idp;
  }

  /** Listens, again where it did before. */
  async listen(): Promise<void> {
    this.#server = createServer(this.#tls, (req, res) => this.#handler(req, res));
    await new Promise<void>((resolve) =>
      this.#server.listen(this.#port, "127.0.0.1", () => resolve())
    );
    this.#port = (this.#server.address() as { port: number }).port;
    this.url = `https://localhost:${this.#port}`;
  }

  /** Is away. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Begins anew with other keys. */
  async rotate(alg: "RS256" | "ES256" = "RS256"): Promise<void> {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    this.#key = { ...await exportJWK(privateKey), alg, use: "sig", kid: crypto.randomUUID() };
    this.begin();
  }

  /** Begins anew with the keys that it has, and with `redirect` as it is now. */
  begin(): void {
    const jwk = this.#key;
    const { alg } = jwk;
    const client = {
      token_endpoint_auth_method: "none",
      id_token_signed_response_alg: alg,
      response_types: ["code"],
    };
    // deno-lint-ignore no-explicit-any -- its types are those of another runtime
    const settings: any = {
      jwks: { keys: [jwk] },
      clients: [
        {
          ...client,
          client_id: WEB,
          ...(this.secret === undefined ? {} : {
            client_secret: this.secret,
            token_endpoint_auth_method: this.secretBy,
          }),
          redirect_uris: [this.redirect],
          grant_types: ["authorization_code", "refresh_token"],
        },
        {
          ...client,
          client_id: CLI,
          response_types: [],
          redirect_uris: [],
          grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
        },
      ],
      clientAuthMethods: ["none", this.secretBy],
      scopes: ["openid", "offline_access", "profile", "email"],
      claims: { openid: ["sub"], profile: ["preferred_username"], email: ["email"] },
      cookies: { keys: [randomBytes(16).toString("hex")] },
      issueRefreshToken: () => true,
      extraTokenClaims: () => this.claims,
      findAccount: (_: unknown, id: string) => ({
        accountId: id,
        claims: () => ({ sub: id, preferred_username: id }),
      }),
      features: {
        deviceFlow: { enabled: true },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => "https://api.control.test/",
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: this.scope,
            audience: this.audience,
            accessTokenFormat: "jwt",
            accessTokenTTL: 600,
            jwt: { sign: { alg } },
          }),
        },
      },
    };
    this.#handler = new Provider(this.url, settings).callback();
  }

  /** Signs a person in as a browser would, through all of its pages. */
  async signIn(login: string): Promise<Tokens> {
    const response = await fetch(`${this.url}/token`, {
      client: this.#http,
      method: "POST",
      body: new URLSearchParams({ ...await this.code(login), client_id: WEB }),
    });
    const body = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    return body as Tokens;
  }

  /** The first half of that: what is to be sent for tokens, apart from who asks. */
  async code(login: string): Promise<Record<string, string>> {
    const verifier = randomBytes(32).toString("base64url");
    const asking = new URL(`${this.url}/auth`);
    asking.search = new URLSearchParams({
      client_id: WEB,
      response_type: "code",
      redirect_uri: this.redirect,
      scope: SCOPES.join(" "),
      prompt: "consent",
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    }).toString();
    const cookies = new Map<string, string>();
    const go = async (url: URL, form?: Record<string, string>): Promise<URL> => {
      const response = await fetch(url, {
        ...{ redirect: "manual", client: this.#http },
        headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
        ...(form ? { method: "POST", body: new URLSearchParams(form) } : {}),
      });
      const text = await response.text();
      for (const line of response.headers.getSetCookie()) {
        const [name, value] = line.split(";")[0]!.split("=");
        if (value) cookies.set(name!, value);
        else cookies.delete(name!);
      }
      const there = response.headers.get("location");
      if (there === null) {
        const [, prompt] = text.match(/name="prompt" value="(\w+)"/) ?? [];
        assert.ok(prompt, text);
        return await go(url, { prompt, login });
      }
      const next = new URL(there, url);
      return next.origin === this.url ? await go(next) : next;
    };
    const back = await go(asking);
    return {
      grant_type: "authorization_code",
      code: back.searchParams.get("code") ?? "",
      redirect_uri: this.redirect,
      code_verifier: verifier,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.close();
    if (this.#server.listening) await this.stop();
    await Deno.remove(this.#dir, { recursive: true });
  }
}
