import { setImmediate } from "node:timers";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { getLogger } from "@logtape/logtape";

const log = getLogger(["nexd", "control", "events"]);

/** Streams opened since the last collection that are worth one at once: so many, and this part of all. */
const LEAST = 500, PART = 1 / 2;
/** The same, and events written, for each of the streams too, when nothing more came for so many ms. */
const SETTLED = 50, WRITTEN = 2_000, WRITTEN_EACH = 4, SETTLED_MS = 250;

/**
 * Collects garbage when many streams have been opened: each leaves several times as much behind (a TLS
 * handshake, a parsed request, queries) as it needs, old enough that only a full collection finds it,
 * and the process keeps what it has grown by until the runtime makes one, which is never while
 * streams merely wait. Changes that thousands were told of leave less, but more than they need. A
 * collection costs a tenth of what made it due.
 */
export class Collector {
  readonly #collect: () => void;
  readonly #settledMs: number;
  #open = 0;
  /** Since the last collection. */
  #openThen = 0;
  #written = 0;
  #due = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Something has come since the timer was set. */
  #busy = false;

  constructor(collect: () => void = collectGarbage, settledMs: number = SETTLED_MS) {
    this.#collect = collect;
    this.#settledMs = settledMs;
  }

  /** One more stream is open. */
  opened(): void {
    this.#open++;
    this.#busy = true;
    if (this.#due) return;
    if (this.#open >= this.#openThen + Math.max(LEAST, this.#openThen * PART)) {
      this.#due = true;
      setImmediate(() => this.#now());
    } else {
      this.#whenSettled();
    }
  }

  /** Events were written to a stream. */
  wrote(): void {
    this.#written++;
    this.#busy = true;
    this.#whenSettled();
  }

  /** A stream is over. Those that come and go are no reason to collect again and again. */
  closed(): void {
    this.#open--;
    if (this.#open < this.#openThen / 2) this.#openThen = this.#open;
  }

  /** Forgets the timer. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #worthIt(): boolean {
    return this.#open >= this.#openThen + SETTLED ||
      this.#written >= Math.max(WRITTEN, WRITTEN_EACH * this.#open);
  }

  #whenSettled(): void {
    if (this.#timer !== undefined || !this.#worthIt()) return;
    this.#busy = false;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#busy) this.#whenSettled();
      else if (this.#worthIt()) this.#now();
    }, this.#settledMs);
  }

  #now(): void {
    this.#due = false;
    this.#openThen = this.#open;
    this.#written = 0;
    this.#collect();
  }
}

let gc: (() => void) | undefined;

/** A full collection; nothing where the runtime has none to offer. */
function collectGarbage(): void {
  gc ??= findCollection();
  gc();
}

/** The engine's own, which only a context that is made while its flag is set has. */
function findCollection(): () => void {
  try {
    setFlagsFromString("--expose-gc");
    const found: unknown = runInNewContext("gc");
    setFlagsFromString("--no-expose-gc");
    if (typeof found === "function") return found as () => void;
  } catch (error) {
    log.debug("cannot collect garbage: {error}", { error: String(error) });
  }
  return () => {};
}
