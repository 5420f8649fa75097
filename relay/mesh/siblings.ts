/**
 * The links between the workers of one relay, and of a relay and the one that replaces it.
 *
 * Each worker serves a unix socket and dials those of all others. Two workers so have two streams,
 * one for each direction: who dials watches the other and forwards to it.
 */
import { getLogger } from "@logtape/logtape";
import { encodeWatchConns } from "../derp/mod.ts";
import type { Link, RelayServer } from "../server/mod.ts";
import type { LinkState } from "../state/mod.ts";
import { greet, namesIn, prepare, serve, socketPath } from "./directory.ts";
import { listen } from "./listen.ts";
import { FrameStream, tryClose } from "./stream.ts";

export { liveSiblings } from "./directory.ts";

const logger = getLogger(["nexd", "mesh"]);

/** From the end of a link to the next attempt, in milliseconds. */
const RETRY_MS = 100;

/** Failed attempts in a row until a socket counts as left behind, or is let be until the next look. */
const GIVE_UP = 3;

/** How often the directory is looked at, in milliseconds: for whom nobody has heard of, and our own. */
const LOOK_MS = 2_000;

/**
 * How long a worker that joins waits for another to tell its keys and to know ours, in milliseconds.
 * It takes longer only if that one is stuck.
 */
const EXCHANGE_MS = 5_000;

/** As for a relay of the region: two keep-alives missed. */
const READ_MS = 120_000;

/** One other worker. */
interface Sibling {
  name: string;
  since: number;
  link: Link | undefined;
  done: Promise<void>;
  error?: string;
  /** Whether its keys are known here, and ours there. */
  heard: boolean;
  told: boolean;
  /** Whoever joins need not wait for it any longer. */
  met: () => void;
}

export class Siblings {
  readonly name: string;
  readonly #relay: RelayServer;
  readonly #directory: string;
  readonly #path: string;
  /** Undefined while it is being made anew. */
  #listener: Deno.UnixListener | undefined;
  readonly #siblings = new Map<string, Sibling>();
  /** Everything that close() must end. */
  readonly #open = new Set<Deno.Conn>();
  #accepting: Promise<void>;
  #looking: Promise<void> | undefined;
  readonly #timer: ReturnType<typeof setInterval>;
  #closed = false;

  private constructor(
    relay: RelayServer,
    directory: string,
    name: string,
    path: string,
    listener: Deno.UnixListener,
    lookMs: number,
  ) {
    this.#relay = relay;
    this.#directory = directory;
    this.#path = path;
    this.#listener = listener;
    this.name = name;
    this.#accepting = this.#accept(listener);
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => this.#looking = undefined);
    }, lookMs);
  }

  /**
   * Joins the workers in a directory. Resolves when those that are there are linked and know each
   * other's keys, or were tried: then clients may come.
   *
   * @param o.name of this worker; by default one that nobody else has
   * @param o.lookMs how often the directory is looked at; for tests
   * @throws MeshError when the directory or the name cannot be used
   */
  static async join(
    relay: RelayServer,
    o: { directory: string; name?: string; lookMs?: number },
  ): Promise<Siblings> {
    const random = crypto.getRandomValues(new Uint8Array(4)).toHex();
    const name = o.name ?? `${Deno.pid}-${random}`;
    const path = await prepare(o.directory, name);
    const listener = await serve(o.directory, path);
    const siblings = new Siblings(relay, o.directory, name, path, listener, o.lookMs ?? LOOK_MS);
    const others = await namesIn(o.directory);
    await Promise.all(others.map((other) => siblings.#meet(other)));
    return siblings;
  }

  links(): LinkState[] {
    return [...this.#siblings.values()].map(({ name, since, link, error }) => ({
      name,
      state: link === undefined ? "connecting" : "connected",
      since,
      keys: link?.peers.size ?? 0,
      sentPackets: link?.sentPackets ?? 0,
      droppedPackets: link?.droppedPackets ?? 0,
      error,
    }));
  }

  /** Leaves the others; what was learned from them is forgotten. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#looking;
    tryClose(this.#listener);
    await Deno.remove(this.#path).catch(() => {}); // The runtime may have been first.
    for (const conn of this.#open) tryClose(conn);
    await this.#accepting;
    await Promise.all([...this.#siblings.values()].map(({ done }) => done));
  }

  async #accept(listener: Deno.UnixListener): Promise<void> {
    let told = false;
    while (!this.#closed) {
      try {
        void this.#answer(await listener.accept());
        told = false;
      } catch (error) {
        if (this.#closed || listener !== this.#listener) return;
        if (!told) logger.warn("Cannot accept a worker: {error}", { error: String(error) });
        told = true;
        await pause(RETRY_MS);
      }
    }
  }

  /** Sees to it that others can find this worker, and finds those that could not be linked before. */
  async #look(): Promise<void> {
    try {
      const lost = await Deno.lstat(this.#path).then(() => false, isNotFound);
      if (lost && !this.#closed) await this.#serveAnew();
      for (const name of await namesIn(this.#directory)) void this.#meet(name);
    } catch (error) {
      logger.debug("Cannot look for workers: {error}", { error: String(error) });
    }
  }

  /** Somebody cleaned up, and workers that come now would never know of this one. */
  async #serveAnew(): Promise<void> {
    // Closing takes the path away, so the old one goes first, and is waited for.
    const before = this.#listener;
    this.#listener = undefined;
    tryClose(before);
    await this.#accepting;
    await prepare(this.#directory, this.name);
    const listener = this.#listener = await serve(this.#directory, this.#path);
    this.#accepting = this.#accept(listener);
    logger.warn("Made {path} anew: it had been removed", { path: this.#path });
  }

  /** The accepted side: the relay serves it as it does a mesh client. */
  async #answer(conn: Deno.UnixConn): Promise<void> {
    this.#open.add(conn);
    try {
      const name = await answerTo(conn, this.name);
      if (name === "" || this.#closed) return tryClose(conn);
      void this.#meet(name);
      await this.#relay.acceptSibling(conn, () => {
        const sibling = this.#siblings.get(name);
        if (sibling !== undefined) exchanged(sibling, "told");
      });
    } catch (error) {
      tryClose(conn);
      logger.debug("Refused a worker: {error}", { error: String(error) });
    } finally {
      this.#open.delete(conn);
    }
  }

  /**
   * Sees to it that there is a link to a worker. Resolves when both know each other's keys, it turned
   * out to be gone, or it took too long. One that is only slow to answer may have clients.
   */
  #meet(name: string): Promise<void> {
    if (this.#closed || name === this.name || this.#siblings.has(name)) return Promise.resolve();
    return new Promise((met) => {
      const sibling: Sibling = {
        name,
        since: Date.now(),
        link: undefined,
        done: Promise.resolve(),
        heard: false,
        told: false,
        met,
      };
      this.#siblings.set(name, sibling);
      const timer = setTimeout(met, EXCHANGE_MS);
      sibling.done = this.#keep(sibling).finally(() => {
        this.#siblings.delete(name);
        clearTimeout(timer);
        met();
      });
    });
  }

  /** Dials a worker until it is gone for good. */
  async #keep(sibling: Sibling): Promise<void> {
    let failures = 0;
    while (!this.#closed) {
      try {
        await this.#once(sibling, () => failures = 0);
        sibling.error = "it ended the link";
      } catch (error) {
        sibling.error = error instanceof Error ? error.message : String(error);
        if (isNotFound(error)) return;
        if (error instanceof Deno.errors.ConnectionRefused) sibling.met();
        failures += 1;
        if (failures >= GIVE_UP) {
          if (error instanceof Deno.errors.ConnectionRefused) await this.#bury(sibling);
          return;
        }
      }
      if (!this.#closed) await pause(RETRY_MS);
    }
  }

  /** Nobody listens any more: a worker that was killed leaves its socket behind. */
  async #bury({ name }: Sibling): Promise<void> {
    try {
      await Deno.remove(socketPath(this.#directory, name));
      logger.info("Worker {name} is gone", { name });
    } catch {
      // Another worker was first.
    }
  }

  async #once(sibling: Sibling, linked: () => void): Promise<void> {
    const path = socketPath(this.#directory, sibling.name);
    const conn = await Deno.connect({ transport: "unix", path });
    this.#open.add(conn);
    try {
      if (this.#closed) return;
      const frames = new FrameStream(conn);
      await greet(conn, frames, this.name);
      const link = sibling.link = this.#relay.region.open(sibling.name, true, conn);
      sibling.since = Date.now();
      delete sibling.error;
      link.control(encodeWatchConns());
      linked();
      logger.info("Linked with worker {name}", { name: sibling.name });
      const allHeard = () => exchanged(sibling, "heard");
      await listen(this.#relay, link, conn, frames, READ_MS, { allHeard });
    } finally {
      sibling.link = undefined;
      this.#open.delete(conn);
      tryClose(conn);
    }
  }
}

/** One of the two directions in which keys are told is done. */
function exchanged(sibling: Sibling, direction: "heard" | "told"): void {
  sibling[direction] = true;
  if (sibling.heard && sibling.told) sibling.met();
}

/**
 * The accepted side's greeting. It reads just the other's Hello and nothing behind it: that is the
 * relay's.
 */
async function answerTo(conn: Deno.UnixConn, name: string): Promise<string> {
  // One byte at a time cannot read too much; a Hello is short, and comes once.
  const one: Pick<Deno.UnixConn, "read" | "write" | "close"> = {
    read: (buffer) => conn.read(buffer.subarray(0, 1)),
    write: (bytes) => conn.write(bytes),
    close: () => conn.close(),
  };
  return await greet(one, new FrameStream(one), name);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function isNotFound(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound;
}
