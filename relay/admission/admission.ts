/**
 * The one question that a login is held to, made of the rules that the operator chose.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { KEY_LENGTH, keyToHex } from "../derp/mod.ts";
import { AllowFile, type AllowFileOptions } from "./allow_file.ts";
import { type AskingLimits, CallOut, Tailscaled } from "./services/mod.ts";
import { KeyList } from "./key_list.ts";
import { keyBytes } from "./keys.ts";

const log = getLogger(["nexd", "relay"]);

/**
 * Whether the owner of a public key (32 bytes) may log in from `address` (an IP as text, `""` when
 * unknown). Never throws and never rejects; answers within 5 s for each service that is asked.
 */
export type Admit = (key: Uint8Array, address: string) => boolean | Promise<boolean>;

/** The rules. A login is admitted when all that are given admit it; without any, always. */
export interface AdmissionConfig {
  /** File of public keys, one a line. */
  file?: string;
  /** Service that is asked by HTTP, in the reference relay's form. */
  url?: string;
  /** Let in whoever `url` could not be asked about. */
  failOpen?: boolean;
  /** Unix socket of the tailscaled that is asked. */
  tailscaled?: string;
  /** A list that {@link Admission.setKeys} gives: until then, and without a cached one, nobody. */
  keys?: boolean;
  /** Where the last list is kept. */
  cacheFile?: string;
  /** Limits that tests shorten. */
  limits?: { file?: AllowFileOptions; asking?: Partial<AskingLimits> };
}

/** What is counted. */
export interface AdmissionCounters {
  /** Logins let in because the service could not be asked. Who is refused, the relay counts. */
  admissionFailedOpen: number;
}

/** The parts that answer at once, and those that ask somebody. */
interface Parts {
  file: AllowFile | undefined;
  list: KeyList | undefined;
  tailscaled: Tailscaled | undefined;
  callOut: CallOut | undefined;
}

/** See the top of the file. */
export class Admission {
  /** Called with a key that was taken from the file or the list: its connections have to end. */
  onRevoked: ((key: Uint8Array) => void) | undefined;
  readonly #parts: Parts;

  private constructor(parts: Parts) {
    this.#parts = parts;
    const revoke = (keys: string[]) => keys.forEach((key) => this.#revoke(key));
    if (parts.file !== undefined) parts.file.onRemoved = revoke;
    if (parts.list !== undefined) parts.list.onRemoved = revoke;
  }

  /**
   * Reads what there is to read and begins to follow it.
   *
   * @param counters raised for each login let in unasked
   * @throws RelayError for a file or URL that cannot be used
   */
  static async open(
    config: AdmissionConfig,
    counters: AdmissionCounters = { admissionFailedOpen: 0 },
  ): Promise<Admission> {
    const { file, url, tailscaled, limits } = config;
    const parts: Parts = {
      file: undefined,
      list: undefined,
      tailscaled: undefined,
      callOut: undefined,
    };
    if (file !== undefined) parts.file = await AllowFile.open(file, limits?.file);
    try {
      if (url !== undefined) {
        parts.callOut = new CallOut(url, {
          failOpen: config.failOpen === true,
          opened: () => counters.admissionFailedOpen++,
          ...(limits?.asking === undefined ? {} : { limits: limits.asking }),
        });
      }
      if (tailscaled !== undefined) parts.tailscaled = new Tailscaled(tailscaled, limits?.asking);
      if (config.keys === true) parts.list = await KeyList.open(config.cacheFile);
    } catch (error) {
      await closeAll(parts);
      throw error;
    }
    return new Admission(parts);
  }

  /** The question, as the relay asks it. */
  readonly admit: Admit = (key, address) => {
    const hex = key.length === KEY_LENGTH ? keyToHex(key) : "";
    if (hex === "" || !this.#listed(hex)) return false;
    const { tailscaled, callOut } = this.#parts;
    if (tailscaled === undefined && callOut === undefined) return true;
    return this.#asked(hex, address);
  };

  /** Replaces the list of keys (64 hex digits each); for `keys: true`, otherwise without effect. */
  setKeys(hex: Iterable<string>): void {
    this.#parts.list?.set(hex);
  }

  /** Reads the file again (SIGHUP). A file that cannot be used is logged, and the old list stays. */
  async reload(): Promise<void> {
    await this.#parts.file?.reload();
  }

  /** The rules, for people. */
  describe(): string {
    const rules = Object.values(this.#parts).filter((part) => part !== undefined);
    return rules.length === 0 ? "open" : rules.map((part) => part.describe()).join(", ");
  }

  /** Ends what is under way, with a refusal, and writes the list. */
  close(): Promise<void> {
    return closeAll(this.#parts);
  }

  #listed(hex: string): boolean {
    const { file, list } = this.#parts;
    return (file === undefined || file.has(hex)) && (list === undefined || list.has(hex));
  }

  async #asked(hex: string, address: string): Promise<boolean> {
    const { tailscaled, callOut } = this.#parts;
    try {
      if (tailscaled !== undefined && !await tailscaled.admit(hex)) return false;
      if (callOut !== undefined && !await callOut.admit(hex, address)) return false;
    } catch (error) {
      log.error("admission: {error}", { error });
      return false;
    }
    // The lists may have changed meanwhile, and whoever was taken out then has no connection yet.
    return this.#listed(hex);
  }

  #revoke(hex: string): void {
    try {
      this.onRevoked?.(keyBytes(hex));
    } catch (error) {
      log.error("ending the connections of a revoked key: {error}", { error });
    }
  }
}

async function closeAll(parts: Parts): Promise<void> {
  await Promise.all(Object.values(parts).map((part) => part?.close()));
}
