/**
 * The allow-list file: one public key a line, followed while the relay runs.
 *
 * @module
 */
import { dirname } from "node:path";
import { getLogger } from "@logtape/logtape";
import { reasonOf } from "../cert/mod.ts";
import { RelayError } from "../errors.ts";
import { readKey, removedKeys } from "./keys.ts";

const log = getLogger(["nexd", "relay"]);

/** Largest file, bytes, and most keys in it: a quarter of a million in hex with a comment each. */
const MAX_FILE = 32 << 20, MAX_KEYS = 262_144;
/** Longest line, characters: a key and a comment. */
const MAX_LINE = 1024;
/** Events of one change come in a flock; they are one look, ms. */
const SETTLE = 30;

/** How the file is followed. */
export interface AllowFileOptions {
  /** How often to look without being told, ms: on some file systems nobody tells. */
  lookMs?: number;
}

/** What tells one state of the file from another. */
type Stamp = string;

/** The keys in a file. {@link has} is as of the last good reading. */
export class AllowFile {
  /** Called with each key that was taken out of the file, as hex. */
  onRemoved: (keys: string[]) => void = () => {};
  readonly #path: string;
  #keys: ReadonlySet<string>;
  #stamp: Stamp;
  #trouble: string | undefined;
  #watcher: Deno.FsWatcher | undefined;
  #settling: ReturnType<typeof setTimeout> | undefined;
  readonly #looking: ReturnType<typeof setInterval>;
  #reading: Promise<void> = Promise.resolve();
  #watching: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(path: string, stamp: Stamp, keys: ReadonlySet<string>, lookMs: number) {
    this.#path = path;
    this.#stamp = stamp;
    this.#keys = keys;
    this.#looking = setInterval(() => void this.#read(false), lookMs);
    this.#watching = this.#watch();
  }

  /**
   * Reads the file and begins to follow it.
   *
   * @throws RelayError naming the file, and the line where one is wrong
   */
  static async open(path: string, options: AllowFileOptions = {}): Promise<AllowFile> {
    const { stamp, text } = await readFile(path);
    return new AllowFile(path, stamp, parse(path, text), options.lookMs ?? 5_000);
  }

  /** Whether the file has this key (hex). */
  has(hex: string): boolean {
    return this.#keys.has(hex);
  }

  /** For people. */
  describe(): string {
    const trouble = this.#trouble === undefined ? "" : `, not read again: ${this.#trouble}`;
    return `allow-list ${this.#path} (${this.#keys.size} keys${trouble})`;
  }

  /** Reads the file now, changed or not. A file that cannot be used is logged; the list stays. */
  reload(): Promise<void> {
    return this.#read(true);
  }

  /** Follows the file no longer. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#looking);
    clearTimeout(this.#settling);
    this.#watcher?.close();
    await Promise.all([this.#watching, this.#reading]);
  }

  /** Watches the directory: editors and configuration systems replace the file, not its content. */
  async #watch(): Promise<void> {
    try {
      const watcher = this.#watcher = Deno.watchFs(dirname(this.#path), { recursive: false });
      for await (const _ of watcher) {
        this.#settling ??= setTimeout(() => {
          this.#settling = undefined;
          void this.#read(false);
        }, SETTLE);
      }
    } catch (error) {
      if (this.#closed) return;
      // The periodic look is left, which is slower but needs nothing of the system.
      log.debug("the allow-list {path} is looked at from time to time only: {reason}", {
        path: this.#path,
        reason: reasonOf(error),
      });
    }
  }

  /** One reading after the other, so that an older one never replaces a newer. */
  #read(anyway: boolean): Promise<void> {
    return this.#reading = this.#reading.then(() => this.#readNow(anyway));
  }

  async #readNow(anyway: boolean): Promise<void> {
    if (this.#closed) return;
    try {
      if (!anyway && stampOf(await Deno.stat(this.#path)) === this.#stamp) return;
      const { stamp, text } = await readFile(this.#path);
      this.#stamp = stamp;
      this.#use(parse(this.#path, text));
      this.#trouble = undefined;
    } catch (error) {
      const reason = error instanceof RelayError ? error.message : reasonOf(error);
      if (reason === this.#trouble && !anyway) return;
      this.#trouble = reason;
      log.error("{reason}; the relay goes on with the {count} keys it has", {
        reason,
        count: this.#keys.size,
      });
    }
  }

  #use(keys: ReadonlySet<string>): void {
    const removed = removedKeys(this.#keys, keys);
    const added = keys.size - (this.#keys.size - removed.length);
    this.#keys = keys;
    if (removed.length === 0 && added === 0) return;
    log.info("allow-list {path}: {added} keys added, {removed} removed, {count} in all", {
      path: this.#path,
      added,
      removed: removed.length,
      count: keys.size,
    });
    if (removed.length > 0) this.onRemoved(removed);
  }
}

function stampOf({ mtime, ctime, size, ino, dev }: Deno.FileInfo): Stamp {
  return [mtime?.getTime(), ctime?.getTime(), size, ino, dev].join();
}

async function readFile(path: string): Promise<{ stamp: Stamp; text: string }> {
  try {
    const info = await Deno.stat(path);
    if (!info.isFile) throw new Error("it is no file");
    if (info.size > MAX_FILE) throw new Error(`it is larger than ${MAX_FILE} bytes`);
    return { stamp: stampOf(info), text: await Deno.readTextFile(path) };
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new RelayError(
      `Cannot use allow-list ${path}: ${why}; give a readable file with one public key a line`,
    );
  }
}

/** The keys in a file's text, as hex. */
function parse(path: string, text: string): ReadonlySet<string> {
  const keys = new Set<string>();
  let number = 0;
  for (const line of text.split("\n")) {
    number++;
    const entry = line.slice(0, MAX_LINE).replace(/#.*$/s, "").trim();
    if (entry === "") {
      if (line.length > MAX_LINE && !line.slice(0, MAX_LINE).includes("#")) wrong(path, number);
      continue;
    }
    const hex = readKey(entry);
    if (hex === undefined) wrong(path, number);
    keys.add(hex);
    if (keys.size > MAX_KEYS) {
      throw new RelayError(`Cannot use allow-list ${path}: it has more than ${MAX_KEYS} keys`);
    }
  }
  return keys;
}

/** The line itself is not told: it may be a private key that was put there by mistake. */
function wrong(path: string, line: number): never {
  throw new RelayError(
    `Cannot use allow-list ${path}: line ${line} is no public key; write nodekey: and 64 hex ` +
      `digits, the digits alone or base64, and # before a comment`,
  );
}
