/**
 * A list of keys that somebody else keeps: the devices of a VPC, told by the control plane. The last
 * one is kept on disk, so that a relay that starts while the control plane is away knows its clients.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { reasonOf } from "../cert/mod.ts";
import { writePrivate } from "./files.ts";
import { readKey, removedKeys } from "./keys.ts";

const log = getLogger(["nexd", "relay"]);

/** Most keys of a list. */
const MAX_KEYS = 262_144;
/** Form of the file. Another one is not read. */
const VERSION = 1;
/** Bytes of a file of the most keys: 64 digits, two quotes and a comma each. */
const MAX_FILE = MAX_KEYS * 67 + 1024;
/** Changes within this time are one writing, ms. */
const SAVE_DELAY = 100;

/** See the top of the file. */
export class KeyList {
  /** Called with each key that a new list lacks, as hex. */
  onRemoved: (keys: string[]) => void = () => {};
  readonly #cacheFile: string | undefined;
  #keys: ReadonlySet<string> = new Set();
  /** Where the list is from. */
  #source: "nowhere" | "cache" | "given" = "nowhere";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<void> = Promise.resolve();

  private constructor(cacheFile: string | undefined) {
    this.#cacheFile = cacheFile;
  }

  /** An empty list, or that of the cache file. A cache that cannot be used is logged and left. */
  static async open(cacheFile?: string): Promise<KeyList> {
    const list = new KeyList(cacheFile);
    if (cacheFile !== undefined) await list.#load(cacheFile);
    if (list.#source === "nowhere") {
      log.warn("there is no list of the VPC's devices yet: nobody is admitted until it comes");
    }
    return list;
  }

  /** Whether the list has this key (hex). */
  has(hex: string): boolean {
    return this.#keys.has(hex);
  }

  /** For people. */
  describe(): string {
    switch (this.#source) {
      case "nowhere":
        return "devices of the VPC (no list yet: nobody)";
      case "cache":
        return `devices of the VPC (${this.#keys.size}, from the last run)`;
      case "given":
        return `devices of the VPC (${this.#keys.size})`;
    }
  }

  /** Replaces the list. What is no key in it is left out. */
  set(keys: Iterable<string>): void {
    const next = new Set<string>();
    let odd = 0;
    for (const text of keys) {
      const hex = readKey(text);
      if (hex === undefined) odd++;
      else if (next.size < MAX_KEYS) next.add(hex);
      else {
        log.error("the list of devices has more than {max} keys: the rest is refused", {
          max: MAX_KEYS,
        });
        break;
      }
    }
    if (odd > 0) log.warn("{odd} entries of the list of devices are no public keys", { odd });
    const removed = removedKeys(this.#keys, next);
    const changed = removed.length > 0 || next.size !== this.#keys.size;
    const first = this.#source !== "given";
    this.#keys = next;
    this.#source = "given";
    if (first) log.info("admitting the {count} devices of the VPC", { count: next.size });
    if (changed || first) this.#saveSoon();
    if (removed.length > 0) this.onRemoved(removed);
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    if (this.#timer !== undefined) this.#save();
    await this.#saving;
  }

  async #load(path: string): Promise<void> {
    try {
      const { size, isFile } = await Deno.stat(path);
      if (!isFile || size > MAX_FILE) throw new Error("it is no cache of keys");
      const value: unknown = JSON.parse(await Deno.readTextFile(path));
      const { version, keys } = (value ?? {}) as { version?: unknown; keys?: unknown };
      if (version !== VERSION || !Array.isArray(keys)) throw new Error("it has another form");
      const read = keys.slice(0, MAX_KEYS).map((key) => readKey(String(key)));
      if (read.includes(undefined)) throw new Error("an entry is no public key");
      this.#keys = new Set(read as string[]);
      this.#source = "cache";
      log.info("admitting the {count} devices of the last run's list until there is a new one", {
        count: this.#keys.size,
      });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      const reason = error instanceof SyntaxError ? "it is not valid JSON" : reasonOf(error);
      log.warn("Cannot use the cached list {path}: {reason}; going on without it", {
        path,
        reason,
      });
    }
  }

  #saveSoon(): void {
    if (this.#cacheFile !== undefined) {
      this.#timer ??= setTimeout(() => this.#save(), SAVE_DELAY);
    }
  }

  #save(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#saving = this.#saving.then(async () => {
      const keys = [...this.#keys].sort();
      const text = JSON.stringify({ version: VERSION, saved: new Date().toISOString(), keys });
      try {
        await writePrivate(this.#cacheFile!, `${text}\n`);
      } catch (error) {
        log.warn("Cannot keep the list of devices in {path}: {reason}", {
          path: this.#cacheFile,
          reason: reasonOf(error),
        });
      }
    });
  }
}
