import { getLogger } from "@logtape/logtape";
import { createLocalJWKSet, type JWTVerifyGetKey } from "jose";
import { type Answer, ask, IssuerError, type Question } from "./ask.ts";
import { Cached } from "./cached.ts";

const log = getLogger(["nexd", "control", "oidc"]);

const HOUR = 3600_000;
/** What the issuer says of itself changes seldom, its keys at times. */
const METADATA = { freshMs: HOUR, staleMs: 24 * HOUR, pauseMs: 2_000 };
/** A token with an unknown key makes us ask again, at most this often. */
const KEYS = { freshMs: 10 * 60_000, staleMs: 24 * HOUR, pauseMs: 2_000 };
/** Most keys that are taken, and the longest URL. */
const MAX_KEYS = 64, MAX_URL = 2048;

/** Where the issuer is asked for what; all are https URLs. */
export interface Metadata {
  keys: string;
  authorization: string;
  token: string;
  device: string | undefined;
  userinfo: string | undefined;
  revocation: string | undefined;
  /** A client with a secret sends it in the form, and not by HTTP Basic. */
  secretInForm: boolean;
}

/** The issuer: what it says of itself, and its keys, each asked for seldom. */
export class RemoteIssuer {
  readonly #issuer: string;
  readonly #fetch: typeof fetch | undefined;
  readonly #client: Deno.HttpClient | undefined;
  readonly #patience: number | undefined;
  readonly #closed = new AbortController();
  readonly #metadata: Cached<Metadata>;
  readonly #keys: Cached<JWTVerifyGetKey>;

  constructor(
    options: {
      issuer: string;
      caCerts?: readonly string[];
      fetch?: typeof fetch;
      patienceMs?: number;
      now: () => number;
    },
  ) {
    this.#issuer = options.issuer;
    this.#fetch = options.fetch;
    this.#patience = options.patienceMs;
    this.#client = options.caCerts === undefined
      ? undefined
      : Deno.createHttpClient({ caCerts: [...options.caCerts] });
    this.#metadata = new Cached(() => this.#loadMetadata(), METADATA, options.now);
    this.#keys = new Cached(() => this.#loadKeys(), KEYS, options.now);
  }

  /** @throws {IssuerError} */
  metadata(): Promise<Metadata> {
    return this.#metadata.get();
  }

  /** The keys that it signs with. @throws {IssuerError} */
  keys(): Promise<JWTVerifyGetKey> {
    return this.#keys.get();
  }

  /** Its keys of now, for a token with one that is unknown. @throws {IssuerError} */
  newKeys(): Promise<JWTVerifyGetKey> {
    return this.#keys.renewed();
  }

  /** Asks one of its places. @throws {IssuerError} */
  ask(url: string, question: Pick<Question, "form" | "bearer" | "basic"> = {}): Promise<Answer> {
    return ask(url, {
      ...question,
      fetch: this.#fetch,
      client: this.#client,
      patienceMs: this.#patience,
      signal: this.#closed.signal,
    });
  }

  /** Learns of it, and logs what is wrong. */
  async tryOut(): Promise<void> {
    try {
      await this.keys();
      log.info("users sign in at {issuer}", { issuer: this.#issuer });
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      log.warn("users cannot sign in now: the issuer at {reason}; it is asked again when needed", {
        reason: error instanceof Error ? error.message : error,
      });
    }
  }

  close(): void {
    this.#closed.abort();
    this.#client?.close();
  }

  async #loadMetadata(): Promise<Metadata> {
    const place = `${this.#issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const { status, body } = await this.ask(place);
    const { host } = new URL(place);
    if (status !== 200) throw new IssuerError(`${host} answers its discovery with ${status}`);
    // Whoever can answer here could otherwise speak for another issuer (RFC 8414, 3.3).
    if (body.issuer !== this.#issuer) {
      throw new IssuerError(`${host} says that it is another issuer than ${this.#issuer}`);
    }
    const named = (name: string) => httpsUrl(body[name]);
    const needed = (name: string) => {
      const url = named(name);
      if (url === undefined) throw new IssuerError(`${host} names no ${name} that is an https URL`);
      return url;
    };
    return {
      keys: needed("jwks_uri"),
      authorization: needed("authorization_endpoint"),
      token: needed("token_endpoint"),
      device: named("device_authorization_endpoint"),
      userinfo: named("userinfo_endpoint"),
      revocation: named("revocation_endpoint"),
      secretInForm: inForm(body.token_endpoint_auth_methods_supported),
    };
  }

  async #loadKeys(): Promise<JWTVerifyGetKey> {
    const { keys: place } = await this.metadata();
    const { status, body } = await this.ask(place);
    const { host } = new URL(place);
    if (status !== 200) throw new IssuerError(`${host} answers with ${status} when asked for keys`);
    const { keys } = body;
    if (!Array.isArray(keys) || keys.length > MAX_KEYS) {
      throw new IssuerError(`${host} has no list of at most ${MAX_KEYS} keys`);
    }
    try {
      return createLocalJWKSet({ keys });
    } catch (error) {
      throw new IssuerError(`${host} has keys that are none`, { cause: error });
    }
  }
}

/** Basic is what every issuer has, unless it says otherwise (RFC 8414, 2). */
function inForm(methods: unknown): boolean {
  return Array.isArray(methods) && methods.includes("client_secret_post") &&
    !methods.includes("client_secret_basic");
}

function httpsUrl(value: unknown): string | undefined {
  if (typeof value !== "string" || value.length > MAX_URL || !URL.canParse(value)) return undefined;
  const { protocol, username, password } = new URL(value);
  return protocol === "https:" && username === "" && password === "" ? value : undefined;
}
