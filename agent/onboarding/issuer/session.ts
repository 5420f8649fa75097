/**
 * A user's session: its tokens, kept in the state, refreshed before they end, begun anew when they are
 * refused.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Api } from "../../api/mod.ts";
import type { UnderlayServer } from "../../host/mod.ts";
import type { Credential } from "../flags/mod.ts";
import { OnboardRefusal } from "../refusals.ts";
import type { OidcToken, PendingLogin } from "../store/mod.ts";
import { discover, type Issuer, passwordGrant, requestToken } from "./client.ts";
import { deviceFlow, type LoginPrompt } from "./device_flow.ts";

const log = getLogger(["nexd", "agent"]);

/** A token that ends within this time is replaced first, ms. */
const MARGIN = 30_000;

/** What is kept of a session. */
export interface Kept {
  authToken?: OidcToken | undefined;
  login?: PendingLogin | undefined;
}

/** How a user signs in. */
export interface SessionOptions {
  api: Api;
  credential: Exclude<Credential, { kind: "reg-key" }>;
  hostname: string;
  kept: Kept;
  /** Keeps a change of it. */
  remember(change: Kept): void;
  /** Shows what a person has to do; undefined: nothing any more. */
  show(prompt: LoginPrompt | undefined): void;
  /** Asks for the password of a user on the terminal. */
  askPassword(username: string, signal: AbortSignal): Promise<string>;
  now(): number;
}

/** See the top of the file. */
export class UserSession {
  readonly #options: SessionOptions;
  #token: OidcToken | undefined;
  #login: PendingLogin | undefined;
  #password: string | undefined;
  #issuer: Issuer | undefined;
  /** Where it is, and its token endpoint. */
  #places: URL[] = [];

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#token = options.kept.authToken;
    this.#login = options.kept.login;
    const { credential } = options;
    if (credential.kind === "password") this.#password = credential.password;
  }

  /** Servers that signing in needs, as far as they are known. */
  get servers(): UnderlayServer[] {
    const named = this.#places.map(({ host, hostname, port }) =>
      [host, { host: hostname, port: Number(port || 443) }] as const
    );
    return [...new Map(named).values()];
  }

  /**
   * An access token that is good for a while; signs in where there is none.
   *
   * @throws {OnboardRefusal} when the user is refused, with the remedy
   * @throws {ApiFailure} when API or issuer cannot be reached
   */
  async accessToken(signal: AbortSignal): Promise<string> {
    const { now } = this.#options;
    if (this.#token !== undefined && this.#token.expiresAt - MARGIN > now()) {
      return this.#token.accessToken;
    }
    const token = await this.#refreshed(signal) ?? await this.#signIn(signal);
    this.#keep({ authToken: token });
    return token.accessToken;
  }

  /** As {@link accessToken}, but only if that needs no person. */
  async quietToken(signal: AbortSignal): Promise<string | undefined> {
    const good = this.#token !== undefined &&
      (this.#token.refreshToken !== undefined ||
        this.#token.expiresAt - MARGIN > this.#options.now());
    if (!good && this.#password === undefined) return undefined;
    try {
      if (this.#password !== undefined) return await this.accessToken(signal);
      const { now } = this.#options;
      if (this.#token!.expiresAt - MARGIN > now()) return this.#token!.accessToken;
      const token = await this.#refreshed(signal);
      if (token !== undefined) this.#keep({ authToken: token });
      return token?.accessToken;
    } catch (error) {
      if (error instanceof OnboardRefusal) return undefined;
      throw error;
    }
  }

  /** The access token was refused: the next call signs in anew. */
  forget(): void {
    this.#keep({ authToken: undefined });
  }

  async #refreshed(signal: AbortSignal): Promise<OidcToken | undefined> {
    const refreshToken = this.#token?.refreshToken;
    if (refreshToken === undefined) return undefined;
    const grant = { grant_type: "refresh_token", refresh_token: refreshToken };
    const answer = await this.#ask(grant, signal);
    if ("accessToken" in answer) return { refreshToken, ...answer };
    log.info("the session at {issuer} has ended ({error}): signing in again", {
      issuer: this.#issuer?.url.host,
      error: answer.error,
    });
    this.forget();
    return undefined;
  }

  async #signIn(signal: AbortSignal): Promise<OidcToken> {
    const { credential } = this.#options;
    return credential.kind === "password"
      ? await this.#byPassword(credential.username, signal)
      : await this.#byDeviceFlow(signal);
  }

  async #byPassword(username: string, signal: AbortSignal): Promise<OidcToken> {
    const issuer = await this.#found(signal);
    const password = this.#password ??= await this.#options.askPassword(username, signal);
    const answer = await this.#ask(passwordGrant(username, password), signal);
    if ("accessToken" in answer) return answer;
    const { error, description } = answer;
    // One that was typed is asked for again, one from a flag cannot change.
    const { credential } = this.#options;
    if (credential.kind === "password") this.#password = credential.password;
    const why = error === "invalid_grant" || error === "access_denied"
      ? "the user name or the password is wrong; check --username and --password"
      : `${description || error}; ask its administrator, or sign in with --reg-key`;
    throw new OnboardRefusal(`The issuer ${issuer.url.host} refused user ${username}: ${why}`);
  }

  async #byDeviceFlow(signal: AbortSignal): Promise<OidcToken> {
    const { api, hostname, show, now } = this.#options;
    const token = await deviceFlow({
      api,
      issuer: await this.#found(signal),
      hostname,
      pending: this.#login,
      signal,
      show,
      remember: (login) => this.#keep({ login }),
      now,
    });
    if (token === undefined) throw signal.reason;
    return token;
  }

  async #ask(grant: Record<string, string>, signal: AbortSignal) {
    const { api, now } = this.#options;
    const issuer = await this.#found(signal);
    try {
      return await requestToken(api, issuer, grant, { now: now(), signal });
    } catch (error) {
      this.#issuer = undefined; // the control plane may name another one by now
      throw error;
    }
  }

  async #found(signal: AbortSignal): Promise<Issuer> {
    if (this.#issuer !== undefined) return this.#issuer;
    const issuer = await discover(this.#options.api, signal, (url) => this.#places = [url]);
    this.#places = [issuer.url, issuer.tokenEndpoint];
    return this.#issuer = issuer;
  }

  #keep(change: Kept): void {
    if ("authToken" in change) this.#token = change.authToken;
    if ("login" in change) this.#login = change.login;
    this.#options.remember(change);
  }
}
