/**
 * The state file `state.json`: this host's identity, kept across restarts.
 *
 * Nexodus' fields (`private-key`, `public-key`, `port`) plus ours (`device-id`, `loopback`); fields
 * of other agents are kept as they are. The public key and so the relay identity always come from
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
} from "../../relay/derp/mod.ts";
import { isObject } from "../api/mod.ts";
import { AgentError } from "../errors.ts";
import { ensureStateDir, keepAside, parseObject, readPrivate, writePrivate } from "./files.ts";

const MAX_FILE = 16 << 20;

/** What the agent remembers. */
interface AgentState {
  /** WireGuard private key, 32 bytes: also the identity towards relays. */
  privateKey: Uint8Array;
  publicKey: Uint8Array;
  /** WireGuard's UDP port; 0 before the first start has chosen one. */
  port: number;
  /** Set once the control plane has registered this host. */
  deviceId?: string;
  /** `DT:…`: what is left when the registration key has expired. A secret. */
  deviceToken?: string;
  /** IP address that STUN saw last, of a device whose address others dial. */
  reflexive?: string;
  /** Loopback address of each relayed peer, by base64 key: stable across restarts. */
  loopback: Record<string, string>;
}

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

  /** Changes fields and writes the file; writes never overlap. */
  async update(change: Partial<Omit<AgentState, "privateKey" | "publicKey">>): Promise<void> {
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
    const fields: Record<string, unknown> = {
      ...this.#others,
      "private-key": keyToBase64(privateKey),
      "public-key": keyToBase64(publicKey),
      port,
      loopback,
      ...(deviceId === undefined ? {} : { "device-id": deviceId }),
      ...(deviceToken === undefined ? {} : { "device-token": deviceToken }),
      ...(reflexive === undefined ? {} : { reflexive }),
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
