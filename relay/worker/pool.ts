/**
 * All workers of a relay: started together, told the same, replaced when one dies, and summed up for
 * the pages.
 */
import { getLogger } from "@logtape/logtape";
import type { AlpnChallenge } from "../cert/mod.ts";
import { RelayError } from "../errors.ts";
import type { Guest } from "../http/mod.ts";
import { mergeSnapshots, type RelaySnapshot } from "../state/mod.ts";
import { ChildWorker, type WorkerCommand } from "./child.ts";
import type {
  ListenAddress,
  RateLimit,
  RelayState,
  Restart,
  ServedCertificate,
  WholeRelay,
  Worker,
  WorkerConfig,
} from "./config.ts";
import { retired } from "./retired.ts";
import { Station } from "./station.ts";

const logger = getLogger(["nexd", "relay"]);

/** A worker that dies within this of its start has not really started. */
const STABLE_MS = 10_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;
/** Starts that fail in a row, with no worker left, before the relay gives up. */
const MAX_FAILURES = 5;
/** How often workers are asked for their state, and how many answers in a row one may owe. */
const LOOK_MS = 5_000;
const MAX_MISSED = 6;

export interface PoolOptions {
  /** How many workers. */
  count: number;
  /** How to start one; undefined to serve in this process, with `count` 1. */
  command: WorkerCommand | undefined;
  /** What all of them are told; each gets a name and, once known, the port. */
  config: Omit<WorkerConfig, "name" | "siblings">;
  /** Where workers meet, given the port; undefined where nobody else is to be met. */
  meet: ((port: number) => Promise<string>) | undefined;
  /** What the pages show beside the workers' own sum. */
  state: () => Omit<RelayState, "snapshot">;
  /** Another application on the port; with a worker in this process. */
  guest?: Guest | undefined;
}

/** A worker's place, which its replacement takes over. */
interface Place {
  worker: Worker | undefined;
  /** What its worker last told, for when it dies. */
  last: RelaySnapshot | undefined;
  missed: number;
  /** Starts that failed in a row. */
  failures: number;
}

export class Pool implements WholeRelay {
  /** Rejects when no worker can be kept running. Never settles otherwise. */
  readonly failed: Promise<never>;
  readonly #options: PoolOptions;
  #config: PoolOptions["config"];
  #address: ListenAddress;
  #directory: string | undefined;
  readonly #places: Place[] = [];
  /** What workers that died had counted. */
  #retired: RelaySnapshot | undefined;
  #fail!: (error: Error) => void;
  /** The last list of keys on its way to the workers. */
  #listing: Promise<void> = Promise.resolve();
  #looking: ReturnType<typeof setInterval> | undefined;
  /** No replacements any more. */
  #stopping = false;

  /** @throws RelayError when a worker cannot start; none is left running then */
  static async start(options: PoolOptions): Promise<Pool> {
    const pool = new Pool(options);
    try {
      await pool.#begin();
      return pool;
    } catch (error) {
      await pool.end();
      throw error;
    }
  }

  private constructor(options: PoolOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#address = options.config.addr;
    this.failed = new Promise((_, reject) => this.#fail = reject);
    this.failed.catch(() => {});
  }

  /** Where the relay listens, with the real port. */
  get address(): ListenAddress {
    return this.#address;
  }

  /** What each client may send now. */
  get rate(): RateLimit | undefined {
    return this.#config.rate;
  }

  /** The one worker in this process, where it is one. */
  get local(): Station | undefined {
    const worker = this.#places[0]?.worker;
    return worker instanceof Station ? worker : undefined;
  }

  async #begin(): Promise<void> {
    const { count, meet, command } = this.#options;
    const { addr } = this.#config;
    if (addr.port !== 0) {
      this.#directory = await meet?.(addr.port);
      await this.#startSome(count);
      this.#address = this.#places[0]!.worker!.address;
    } else {
      // The first one tells the port.
      await this.#startSome(1);
      const first = this.#places[0]!.worker!;
      this.#address = first.address;
      this.#config = { ...this.#config, addr: { ...addr, port: first.address.port } };
      if (meet !== undefined) {
        this.#directory = await meet(first.address.port);
        await first.join(this.#directory);
      }
      await this.#startSome(count - 1);
    }
    if (command !== undefined) this.#looking = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Starts workers at the same time: a process takes a tenth of a second to be there. */
  async #startSome(count: number): Promise<void> {
    const starts = Array.from({ length: count }, async () => {
      this.#adopt(this.#newPlace(), await this.#startOne());
    });
    // All of them settle before one's failure counts, so that none is left behind.
    for (const result of await Promise.allSettled(starts)) {
      if (result.status === "rejected") throw result.reason;
    }
  }

  #newPlace(): Place {
    const place: Place = { worker: undefined, last: undefined, missed: 0, failures: 0 };
    this.#places.push(place);
    return place;
  }

  async #startOne(): Promise<Worker> {
    const { command } = this.#options;
    const used = this.#config;
    const name = `w${crypto.randomUUID().slice(0, 8)}`;
    const config: WorkerConfig = { ...used, name, siblings: this.#directory };
    const worker = command === undefined
      ? await Station.start(config, this, this.#options.guest)
      : await ChildWorker.start(command, config, this);
    // What has changed while it started.
    const { certificate, keys, rate } = this.#config;
    if (certificate !== undefined && certificate !== used.certificate) {
      await worker.setCertificate(certificate);
    }
    if (keys !== undefined && keys !== used.keys) await worker.setKeys(keys);
    if (rate !== used.rate) await worker.setRate(rate);
    return worker;
  }

  #adopt(place: Place, worker: Worker): void {
    place.worker = worker;
    place.missed = 0;
    const since = performance.now();
    void worker.ended.then((reason) => {
      place.worker = undefined;
      if (place.last !== undefined) this.#retired = retired(this.#retired, place.last);
      place.last = undefined;
      if (this.#stopping) return;
      logger.error("Worker {name} died: {reason}; its clients reconnect to another", {
        name: worker.name,
        reason,
      });
      place.failures = performance.now() - since < STABLE_MS ? place.failures + 1 : 0;
      void this.#replace(place);
    });
  }

  async #replace(place: Place): Promise<void> {
    for (;;) {
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** place.failures);
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (this.#stopping) return;
      try {
        const worker = await this.#startOne();
        if (this.#stopping) return await worker.end();
        this.#adopt(place, worker);
        logger.info("Worker {name} replaces it", { name: worker.name });
        return;
      } catch (error) {
        place.failures += 1;
        const reason = error instanceof Error ? error.message : String(error);
        logger.error("Cannot start a worker: {reason}", { reason });
        if (this.#workers().length === 0 && place.failures >= MAX_FAILURES) {
          this.#fail(new RelayError(`Cannot keep a worker running: ${reason}; see the log`));
          return;
        }
      }
    }
  }

  #workers(): Worker[] {
    return this.#places.flatMap(({ worker }) => worker === undefined ? [] : [worker]);
  }

  /** Calls all workers. One that fails has died or is ended; its replacement knows what was told. */
  async #each(call: (worker: Worker) => Promise<unknown>): Promise<void> {
    await Promise.all(
      this.#workers().map(async (worker) => {
        try {
          await call(worker);
        } catch (error) {
          logger.error("Worker {name} failed: {reason}", {
            name: worker.name,
            reason: error instanceof Error ? error.message : String(error),
          });
          if (this.#options.command !== undefined) await worker.end();
        }
      }),
    );
  }

  /** Asks all workers how they are; ends one that has owed its answer for long. */
  #look(): void {
    for (const place of this.#places) {
      const { worker } = place;
      if (worker === undefined) continue;
      worker.snapshot().then((snapshot) => {
        place.last = snapshot;
        place.missed = 0;
      }, () => {
        if (place.worker !== worker || ++place.missed !== MAX_MISSED) return;
        logger.error("Worker {name} does not answer and is ended", { name: worker.name });
        void worker.end();
      });
    }
  }

  /** True when a worker answers within its time: one of several that does not is replaced here. */
  async answers(): Promise<boolean> {
    return await Promise.any(this.#workers().map((worker) => worker.snapshot()))
      .then(() => true, () => false);
  }

  /** The relay's own snapshot. Never rejects; a worker that does not answer shows as it was. */
  async snapshot(): Promise<RelaySnapshot> {
    const parts = await Promise.all(this.#places.map(async (place) => {
      try {
        return place.last = await place.worker?.snapshot() ?? place.last;
      } catch {
        return place.last;
      }
    }));
    const all = [...parts, this.#retired].filter((part) => part !== undefined);
    return mergeSnapshots(all);
  }

  /** What the pages show of the whole relay. */
  async state(): Promise<RelayState> {
    return { snapshot: await this.snapshot(), ...this.#options.state() };
  }

  /** Problems of all workers' tables; empty when all is well. */
  async check(): Promise<string[]> {
    const answers = await Promise.allSettled(
      this.#workers().map(async (worker) => {
        const problems = await worker.check();
        return problems.map((problem) => `${worker.name}: ${problem}`);
      }),
    );
    return answers.flatMap((answer) =>
      answer.status === "fulfilled" ? answer.value : [String(answer.reason)]
    );
  }

  /** Serves a certificate from now on; connections that there are stay. */
  async setCertificate(certificate: ServedCertificate): Promise<void> {
    this.#config = { ...this.#config, certificate };
    await this.#each((worker) => worker.setCertificate(certificate));
  }

  /** Answers a CA's challenge on the TLS port; undefined ends that. */
  async setChallenge(challenge: AlpnChallenge | undefined): Promise<void> {
    await this.#each((worker) => worker.setChallenge(challenge));
  }

  /** Admits just these keys, 64 hex digits each; others are disconnected. */
  async setKeys(keys: string[]): Promise<void> {
    this.#config = { ...this.#config, keys };
    // One list at a time, and the latest next: they are long, and a worker may take them slowly.
    await (this.#listing = this.#listing.then(async () => {
      if (this.#config.keys === keys) await this.#each((worker) => worker.setKeys(keys));
    }));
  }

  async setRate(rate: RateLimit | undefined): Promise<void> {
    this.#config = { ...this.#config, rate };
    await this.#each((worker) => worker.setRate(rate));
  }

  /** Has all workers read their files again. */
  async reload(): Promise<void> {
    await this.#each((worker) => worker.reload());
  }

  /**
   * Stops accepting, everywhere before any client is told; then tells all clients to reconnect.
   *
   * @returns how many were told
   */
  async announceRestart(restart: Restart): Promise<number> {
    this.#stopping = true;
    await this.#each((worker) => worker.stopAccepting());
    let told = 0;
    await this.#each(async (worker) => {
      const some = await worker.announceRestart(restart); // others add theirs meanwhile
      told += some;
    });
    return told;
  }

  /** Ends all workers. */
  async end(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#looking);
    await Promise.all(this.#workers().map((worker) => worker.end()));
  }
}
