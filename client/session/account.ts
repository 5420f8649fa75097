/**
 * A user at a control plane: an access token for each call, from the kept session, from that session
 * refreshed, or from signing in, by password or by a link.
 *
 * @module
 */
import { ApiClient, type Transport } from "../../agent/api/mod.ts";
import {
  askPassword,
  discover,
  homeDir,
  type JoinTarget,
  type LoginPrompt,
  type OidcToken,
  parseJoin,
  readCa,
  revoke,
  UserSession,
} from "../../agent/onboarding/mod.ts";
import { ClientError } from "../errors.ts";
import { cleanText } from "../output/mod.ts";
import type { Flags } from "../values.ts";
import { directoryOf, type KeptCa, type KeptSession, SessionFile } from "./file.ts";

/** A token that ends within this time is replaced first, ms. */
const MARGIN = 30_000;

/** What signing in needs of its surroundings. */
export interface Surroundings {
  version: string;
  signal: AbortSignal;
  /** Writes a line for the person at the terminal, beside the answer. */
  tell(line: string): void;
  /** A person is there to open a link or to type a password. */
  interactive: boolean;
  /** Another transport, for tests. */
  transport?: Transport;
}

/** See the top of the file. Its methods throw errors with one sentence and an exit code. */
export class Account {
  readonly api: ApiClient;
  /** As the user knows the control plane, `https://host[:port]`. */
  readonly service: string;
  readonly #target: JoinTarget;
  readonly #file: SessionFile;
  readonly #around: Surroundings;
  readonly #ca: KeptCa | undefined;
  #kept: KeptSession | undefined;

  private constructor(
    target: JoinTarget,
    api: ApiClient,
    ca: KeptCa | undefined,
    file: SessionFile,
    around: Surroundings,
  ) {
    this.#target = target;
    this.api = api;
    this.service = target.serviceUrl.origin;
    this.#ca = ca;
    this.#file = file;
    this.#around = around;
  }

  /** The account that the flags name; at most the control plane's CA is asked for. */
  static async open(flags: Flags, around: Surroundings): Promise<Account> {
    const file = new SessionFile(flags.filled("session-file") ?? defaultFile());
    const serviceUrl = flags.filled("service-url") ?? (await file.read()).current;
    const target = parseJoin({ serviceUrl, ...await userOf(flags, serviceUrl, file) });
    const ca = await caOf(flags.filled("ca"), target, file);
    const api = new ApiClient({
      apiUrl: target.apiUrl,
      caCerts: ca === undefined ? [] : [ca.pem],
      insecureSkipTlsVerify: flags.on("insecure-skip-tls-verify"),
      version: around.version,
      ...(around.transport === undefined ? {} : { transport: around.transport }),
    });
    const account = new Account(target, api, ca, file, around);
    account.#kept = await account.#find();
    return account;
  }

  /**
   * An access token that is good for a while; signs in where there is no session.
   *
   * @param refused the one that the API did not accept
   */
  async token(refused?: string): Promise<string> {
    if (isGood(this.#kept, refused)) return this.#kept!.token.accessToken;
    if (this.#kept?.token.refreshToken !== undefined) {
      // Some issuers end a session whose refresh token is used twice.
      this.#kept = await this.#file.locked(async () => {
        const now = await this.#find() ?? this.#kept!;
        return isGood(now, refused) ? now : await this.#refreshed(now);
      });
      if (this.#kept !== undefined) return this.#kept.token.accessToken;
    }
    return await this.#signIn({ current: false });
  }

  /** Signs in anew, and makes this control plane the one that commands go to. */
  async login(): Promise<void> {
    await this.#signIn({ current: true });
  }

  /**
   * Ends the kept session, here and, where it can be, at the issuer.
   *
   * @returns undefined when there was none
   */
  async logout(): Promise<{ username?: string; ended: boolean } | undefined> {
    const kept = this.#kept;
    if (kept === undefined) return undefined;
    await this.#file.forget(kept.api);
    this.#kept = undefined;
    const { username, token: { refreshToken } } = kept;
    const { signal } = this.#around;
    const issuer = refreshToken === undefined
      ? undefined
      : await discover(this.api, signal).catch(() => undefined);
    const ended = issuer !== undefined && await revoke(this.api, issuer, refreshToken!, signal);
    return { ...(username === undefined ? {} : { username }), ended };
  }

  /** Goes on with the tokens of another session, which this one gave way to. */
  async adopt(token: OidcToken): Promise<void> {
    if (this.#kept === undefined) return;
    this.#kept = { ...this.#kept, token };
    await this.#file.keep(this.#kept);
  }

  /** Who signed in, where that is known. */
  get username(): string | undefined {
    return this.#kept?.username;
  }

  /** The flags with which a host joins by a registration key, in a shell. */
  joinFlags(regKey: string): string {
    const ca = this.#ca?.flag === undefined ? "" : ` --ca ${this.#ca.flag}`;
    return `--reg-key '${this.service}#${regKey}'${ca}`;
  }

  close(): void {
    this.api.close();
  }

  get #user(): string | undefined {
    const { credential } = this.#target;
    return credential.kind === "password" ? credential.username : undefined;
  }

  #find(): Promise<KeptSession | undefined> {
    return this.#file.find(this.#target.apiUrl.origin, this.#user);
  }

  /** The session with a new access token, kept; undefined when it has ended. */
  async #refreshed(kept: KeptSession): Promise<KeptSession | undefined> {
    let token: OidcToken | undefined;
    const session = new UserSession({
      ...this.#parts((change) => token = change),
      credential: { kind: "device" },
      kept: { authToken: { ...kept.token, expiresAt: 0 } },
    });
    await session.quietToken(this.#around.signal);
    if (token === undefined) return undefined;
    const next = { ...kept, ...(this.#ca === undefined ? {} : { ca: this.#ca }), token };
    await this.#file.keep(next);
    return next;
  }

  async #signIn({ current }: { current: boolean }): Promise<string> {
    const { credential } = this.#target;
    const { signal, interactive } = this.#around;
    if (credential.kind === "reg-key") throw new Error("a registration key is no user");
    if (credential.kind === "device" && !interactive && !current) {
      throw new ClientError(
        `Nobody is signed in to ${this.service}; run nexd user login, or give --username and --password`,
      );
    }
    let token: OidcToken | undefined;
    const session = new UserSession({
      ...this.#parts((change) => token = change),
      credential,
      kept: {},
    });
    const accessToken = await session.accessToken(signal);
    const username = this.#user ?? await this.#askName(accessToken);
    this.#kept = {
      api: this.#target.apiUrl.origin,
      service: this.service,
      ...(username === undefined ? {} : { username }),
      ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      token: token ?? { accessToken, expiresAt: 0 },
    };
    await this.#file.keep(this.#kept, { current });
    return accessToken;
  }

  /** Who it is that opened the link. */
  async #askName(token: string): Promise<string | undefined> {
    try {
      return (await this.api.getUser(token, this.#around.signal)).username;
    } catch {
      return undefined;
    }
  }

  #parts(keep: (token: OidcToken | undefined) => void) {
    return {
      api: this.api,
      hostname: hostname(),
      remember: (change: { authToken?: OidcToken | undefined }) => {
        if ("authToken" in change) keep(change.authToken);
      },
      show: (prompt: LoginPrompt | undefined) => this.#show(prompt),
      askPassword,
      now: Date.now,
    };
  }

  #show(prompt: LoginPrompt | undefined): void {
    if (prompt === undefined) return;
    this.#around.tell(`To sign in to ${this.service}, open this link and compare the code:`);
    this.#around.tell(`  ${cleanText(prompt.url, 2000)}`);
    this.#around.tell(`  ${cleanText(prompt.code)}`);
  }
}

/** Who signs in: a password by itself, as the environment may hold one, is the kept session's user's. */
async function userOf(flags: Flags, serviceUrl: string | undefined, file: SessionFile) {
  const username = flags.filled("username"), password = flags.filled("password");
  if (username !== undefined || password === undefined) return { username, password };
  const kept = await file.find(parseJoin({ serviceUrl }).apiUrl.origin);
  if (kept === undefined) return { username, password };
  return kept.username === undefined ? {} : { username: kept.username, password };
}

/** What the control plane's certificate is checked with: the flag's CAs, else those of the session. */
async function caOf(
  flag: string | undefined,
  { apiUrl }: JoinTarget,
  file: SessionFile,
): Promise<KeptCa | undefined> {
  if (flag === undefined) return (await file.find(apiUrl.origin))?.ca;
  const dir = file.path === undefined ? "." : directoryOf(file.path);
  const pem = (await readCa(flag, apiUrl, dir)).join("");
  return { pem, ...(/^sha256:/i.test(flag) ? { flag } : {}) };
}

function isGood(kept: KeptSession | undefined, refused?: string): boolean {
  return kept !== undefined && kept.token.accessToken !== refused &&
    kept.token.expiresAt - MARGIN > Date.now();
}

/** Where sessions are kept when nobody says; nowhere without a home directory. */
function defaultFile(): string | undefined {
  try {
    return `${homeDir()}/.nexodus/sessions.json`;
  } catch {
    return undefined;
  }
}

function hostname(): string {
  try {
    return Deno.hostname();
  } catch {
    return "";
  }
}
