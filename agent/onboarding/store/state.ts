/**
 * The state file `state.json`: this host's identity, kept across restarts.
 *
 * Nexodus' fields (`private-key`, `public-key`, `port`, `auth-token`) plus ours (`device-id`,
 * `loopback`, …); fields of other agents are kept as they are. The public key and so the relay identity always come from
 * the private key, whether it is fresh or stored.
 *
 * @module
 */
import {
  generatePrivateKey,
  keyFromBase64,
  keysEqual,
  keyToBase64,
  publicKeyOf,
} from "../../../relay/derp/mod.ts";
import { isObject } from "../../api/mod.ts";
import { AgentError } from "../../errors.ts";
import { ensureStateDir, keepAside, parseObject, readPrivate, writePrivate } from "./files.ts";

const MAX_FILE = 16 << 20;

/** A user's session at the issuer. */
export interface OidcToken {
  /** A secret. */
  accessToken: string;
  /** Gets new ones. A secret. */
  refreshToken?: string;
  /** When the access token ends, ms since the epoch. */
  expiresAt: number;
}

/** A device flow that a person has not confirmed yet: a restart goes on with the same code. */
export interface PendingLogin {
  /** What the host asks with. A secret. */
  deviceCode: string;
  /** What the person compares or types. */
  userCode: string;
  url: string;
  /** ms since the epoch */
  expiresAt: number;
  /** Seconds between questions. */
  interval: number;
}

/** What the agent remembers. */
export interface AgentState {
  /** WireGuard private key, 32 bytes: also the identity towards relays. */
  privateKey: Uint8Array;
  publicKey: Uint8Array;
  /** WireGuard's UDP port; 0 before the first start has chosen one. */
  port: number;
  /** Set once the control plane has registered this host. */
  deviceId?: string;
  /** `DT:…`: what is left when the registration key has expired. A secret. */
  deviceToken?: string;
  /** Origin of the API that the device and the tokens belong to. */
  api?: string;
  /** Who signed in with a password. */
  user?: string;
  authToken?: OidcToken;
  login?: PendingLogin;
  /** IP address that STUN saw last, of a device whose address others dial. */
  reflexive?: string;
  /** Loopback address of each relayed peer, by base64 key: stable across restarts. */
  loopback: Record<string, string>;
}

/** New values of fields; undefined removes one. */
export type StateChange =
  & {
    [K in Exclude<keyof AgentState, "privateKey" | "publicKey" | "port" | "loopback">]?:
      | AgentState[K]
      | undefined;
  }
  & Partial<Pick<AgentState, "port" | "loopback">>;

/** The state in memory and its file. */
export class StateStore {
  readonly path: string;
  readonly state: AgentState;
  #others: Record<string, unknown>;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, state: AgentState, others: Record<string, unknown>) {
    this.path = path;
    this.state = state;
    this.#others = others;
  }

  /**
   * Reads the state file in `dir`, or makes keys and writes it. A damaged file is kept aside.
   *
   * @param name of the file, for a second identity of this host
   * @throws {AgentError} naming where a damaged file is kept, or why the directory cannot be used
   */
  static async open(
    dir: string,
    now: Date = new Date(),
    name = "state.json",
  ): Promise<StateStore> {
    await ensureStateDir(dir);
    const path = `${dir}/${name}`;
    const text = await readPrivate(path, MAX_FILE);
    if (text !== undefined) {
      const read = readState(text);
      if (typeof read !== "string") return new StateStore(path, read.state, read.others);
      const aside = await keepAside(path, now);
      throw new AgentError(
        `Cannot read the state file ${path}: ${read}; it is kept as ${aside}: put a good copy back ` +
          "to keep this host's tunnel address, or start again to register as a new device",
      );
    }
    const privateKey = generatePrivateKey();
    const store = new StateStore(path, {
      privateKey,
      publicKey: publicKeyOf(privateKey),
      port: 0,
      loopback: {},
    }, {});
    await store.save();
    return store;
  }

  /** Changes fields, or removes those that are given as undefined, and writes the file; writes never overlap. */
  async update(change: StateChange): Promise<void> {
    const before = this.#json();
    Object.assign(this.state, change);
    if (this.#json() !== before) await this.save();
  }

  /** Writes the file. */
  save(): Promise<void> {
    const next = this.#writing.catch(() => {}).then(() => writePrivate(this.path, this.#json()));
    this.#writing = next.catch(() => {});
    return next;
  }

  #json(): string {
    const { privateKey, publicKey, port, deviceId, deviceToken, reflexive, loopback } = this.state;
    const { api, user, authToken, login } = this.state;
    const fields: Record<string, unknown> = {
      ...this.#others,
      "private-key": keyToBase64(privateKey),
      "public-key": keyToBase64(publicKey),
      port,
      loopback,
      ...(deviceId === undefined ? {} : { "device-id": deviceId }),
      ...(deviceToken === undefined ? {} : { "device-token": deviceToken }),
      ...(reflexive === undefined ? {} : { reflexive }),
      ...(api === undefined ? {} : { api }),
      ...(user === undefined ? {} : { user }),
      ...(authToken === undefined ? {} : { "auth-token": writeToken(authToken) }),
      ...(login === undefined ? {} : { login }),
    };
    return `${JSON.stringify(fields, null, 2)}\n`;
  }
}

/** The state in a file's text, or what is wrong with it. */
function readState(
  text: string,
): { state: AgentState; others: Record<string, unknown> } | string {
  const value = parseObject(text);
  if (typeof value === "string") return value;
  const {
    "private-key": privateText,
    "public-key": publicText,
    port = 0,
    "device-id": deviceId,
    "device-token": deviceToken,
    reflexive,
    loopback,
    api,
    user,
    "auth-token": authText,
    login: loginText,
    ...others
  } = value;
  let privateKey: Uint8Array, publicKey: Uint8Array;
  try {
    privateKey = keyFromBase64(String(privateText));
    publicKey = publicKeyOf(privateKey);
  } catch {
    return "its private-key is not a WireGuard key";
  }
  try {
    if (publicText !== undefined && !keysEqual(keyFromBase64(String(publicText)), publicKey)) {
      return "its public-key does not belong to its private-key";
    }
  } catch {
    return "its public-key is not a WireGuard key";
  }
  if (typeof port !== "number" || !Number.isInteger(port) || port < 0 || port > 65535) {
    return "its port is not a port number";
  }
  const addresses = isObject(loopback) ? Object.entries(loopback) : [];
  const authToken = readToken(authText), login = readLogin(loginText);
  return {
    others,
    state: {
      privateKey,
      publicKey,
      port,
      loopback: Object.fromEntries(
        addresses.filter(([key, address]) =>
          isKey(key) && /^127\.\d+\.\d+\.\d+$/.test(String(address))
        ),
      ) as Record<string, string>,
      ...(typeof deviceId === "string" && deviceId !== "" ? { deviceId } : {}),
      ...(typeof deviceToken === "string" && /^[\x21-\x7e]{4,512}$/.test(deviceToken)
        ? { deviceToken }
        : {}),
      ...(typeof reflexive === "string" && reflexive.length <= 45 ? { reflexive } : {}),
      ...(typeof api === "string" ? { api } : {}),
      ...(typeof user === "string" ? { user } : {}),
      ...(authToken === undefined ? {} : { authToken }),
      ...(login === undefined ? {} : { login }),
    },
  };
}

function isKey(text: string): boolean {
  try {
    keyFromBase64(text);
    return true;
  } catch {
    return false;
  }
}

/** A session in the form that Nexodus' agent writes and reads. */
function writeToken({ accessToken, refreshToken, expiresAt }: OidcToken): Record<string, unknown> {
  return {
    access_token: accessToken,
    token_type: "Bearer",
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    expiry: new Date(expiresAt).toISOString(),
  };
}

function readToken(value: unknown): OidcToken | undefined {
  if (!isObject(value)) return undefined;
  const { access_token: accessToken, refresh_token: refreshToken, expiry } = value;
  if (typeof accessToken !== "string" || accessToken === "") return undefined;
  const expiresAt = Date.parse(String(expiry));
  return {
    accessToken,
    ...(typeof refreshToken === "string" && refreshToken !== "" ? { refreshToken } : {}),
    expiresAt: Number.isNaN(expiresAt) ? 0 : expiresAt,
  };
}

function readLogin(value: unknown): PendingLogin | undefined {
  if (!isObject(value)) return undefined;
  const { deviceCode, userCode, url, expiresAt, interval } = value;
  const texts = [deviceCode, userCode, url].every((text) => typeof text === "string");
  const numbers = [expiresAt, interval].every((number) => Number.isFinite(number));
  return texts && numbers ? value as unknown as PendingLogin : undefined;
}
