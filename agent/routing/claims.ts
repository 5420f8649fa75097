/**
 * What agents hold of this host, on record: which rules and tables, and which settings of the kernel
 * with the values to put back. Agents of several interfaces share it, and one that comes back after
 * a crash finds in it what to undo. It lies where a reboot clears it, like what it records.
 *
 * @module
 */
import { AgentError, reasonOf } from "../errors.ts";
import { removeIfEmpty, tryLockFile, writeFileAtomic } from "../platform/mod.ts";

/** Where records are. */
const DIR = "/run/nexd";
/** Most interfaces with rules of their own. */
const SLOTS = 100;
/** How long another agent may hold the record, ms. */
const PATIENCE = 5_000;

interface Setting {
  old: string;
  value: string;
  owners: string[];
}

interface Book {
  slots: Record<string, number>;
  settings: Record<string, Setting>;
}

/** One interface's claims. */
export class Claims {
  readonly #owner: string;
  readonly #dir: string;

  constructor(owner: string, dir: string = DIR) {
    this.#owner = owner;
    this.#dir = dir;
  }

  /** The number of this interface's rules and tables, its alone: 0 to 99. */
  slot(): Promise<number> {
    return this.#change((book) => {
      const taken = new Set(Object.values(book.slots));
      const free = Array.from({ length: SLOTS }, (_, i) => i).find((n) => !taken.has(n));
      if (book.slots[this.#owner] === undefined && free === undefined) {
        throw new AgentError(`More than ${SLOTS} interfaces have routes of their own on this host`);
      }
      return book.slots[this.#owner] ??= free!;
    });
  }

  /** The number on record; undefined: nothing was claimed. */
  async recorded(): Promise<number | undefined> {
    return (await this.#read()).slots[this.#owner];
  }

  /** Gives the number back. */
  async freeSlot(): Promise<void> {
    if (await this.recorded() === undefined) return;
    await this.#change((book) => {
      delete book.slots[this.#owner];
    });
  }

  /** Gives a setting of the kernel (a path below /proc/sys) a value until it is put back. */
  async set(path: string, value: string): Promise<void> {
    await this.#change(async (book) => {
      const now = (await Deno.readTextFile(path)).trim();
      const setting = book.settings[path] ??= { old: now, value, owners: [] };
      if (!setting.owners.includes(this.#owner)) setting.owners.push(this.#owner);
      // On record before it is changed: a crash in between must find it.
      await this.#write(book);
      if (now !== value) await Deno.writeTextFile(path, value);
    });
  }

  /**
   * Puts settings back, unless another interface wants them too or somebody has changed them since.
   *
   * @param chosen only those that it holds for; the last set is put back first
   */
  async putBack(chosen: (path: string) => boolean = () => true): Promise<void> {
    const holds = ({ settings }: Book) =>
      Object.entries(settings).filter(([path, { owners }]) =>
        owners.includes(this.#owner) && chosen(path)
      );
    if (holds(await this.#read()).length === 0) return;
    await this.#change(async (book) => {
      for (const [path, setting] of holds(book).reverse()) {
        setting.owners = setting.owners.filter((owner) => owner !== this.#owner);
        if (setting.owners.length > 0) continue;
        delete book.settings[path];
        // An interface that has gone took its settings along.
        const now = await Deno.readTextFile(path).catch(() => undefined);
        if (now?.trim() === setting.value && setting.old !== setting.value) {
          await Deno.writeTextFile(path, setting.old);
        }
      }
    });
  }

  async #change<T>(change: (book: Book) => T | Promise<T>): Promise<T> {
    const lock = await this.#lock();
    let empty = false;
    try {
      const book = await this.#read();
      const result = await change(book);
      await this.#write(book);
      empty = isEmpty(book);
      return result;
    } finally {
      if (empty) {
        await lock.remove();
        await removeIfEmpty(this.#dir);
      } else lock.release();
    }
  }

  async #lock(): Promise<{ release(): void; remove(): Promise<void> }> {
    for (const end = Date.now() + PATIENCE;;) {
      await this.#makeDir();
      let pid: string | undefined;
      try {
        const lock = await tryLockFile(`${this.#dir}/routing.lock`);
        if ("release" in lock) return lock;
        pid = lock.pid;
      } catch (error) {
        // Another agent that ended has just taken the directory away.
        if (!((error as Error).cause instanceof Deno.errors.NotFound)) throw error;
      }
      if (Date.now() > end) {
        throw new AgentError(`${this.#dir}/routing.lock is held by pid ${pid}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #makeDir(): Promise<void> {
    try {
      await Deno.mkdir(this.#dir, { recursive: true, mode: 0o755 });
    } catch (error) {
      throw new AgentError(
        `Cannot make ${this.#dir}: ${reasonOf(error)}; run nexd as root, or mount a writable /run`,
        { cause: error },
      );
    }
  }

  async #path(): Promise<string> {
    // Each network namespace has rules and settings of its own, while the directory may be shared.
    const namespace = await Deno.readLink("/proc/self/ns/net").catch(() => "");
    return `${this.#dir}/routing-${namespace.replace(/\D/g, "")}.json`;
  }

  async #read(): Promise<Book> {
    try {
      const { slots, settings } = JSON.parse(await Deno.readTextFile(await this.#path()));
      return { slots: { ...slots }, settings: { ...settings } };
    } catch {
      return { slots: {}, settings: {} };
    }
  }

  async #write(book: Book): Promise<void> {
    const path = await this.#path();
    if (isEmpty(book)) await Deno.remove(path).catch(() => {});
    else await writeFileAtomic(path, JSON.stringify(book) + "\n", 0o600);
  }
}

function isEmpty({ slots, settings }: Book): boolean {
  return Object.keys(slots).length + Object.keys(settings).length === 0;
}
