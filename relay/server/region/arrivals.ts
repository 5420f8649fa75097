/**
 * Logins that wait until every sibling knows of them.
 *
 * A client that has its ServerInfo may be sent to by whoever hears of that, and who does may be on
 * another worker. So there ServerInfo waits until all workers have confirmed that they know the key;
 * a relay of one process never makes a client wait, and so never loses such a packet either.
 */
import { ALL_TOLD, encodeMark } from "../links/mod.ts";
import type { Watchers } from "../peers/mod.ts";

/** How long a login waits for siblings that do not answer, in milliseconds. */
const WAIT_MS = 500;

interface Arrival {
  /** The mark behind the news of it. */
  mark: number;
  until: number;
  known: () => void;
}

export class Arrivals {
  readonly #watchers: Watchers;
  /** Oldest first. */
  readonly #waiting: Arrival[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = ALL_TOLD;

  constructor(watchers: Watchers) {
    this.#watchers = watchers;
  }

  /** The last mark; a sibling that begins to watch is told all from before it anyway. */
  get last(): number {
    return this.#last;
  }

  /** Siblings have been told of a login. Resolves when all that watch know, or it took too long. */
  announced(): Promise<void> {
    const mark = ++this.#last;
    this.#watchers.tell(true, encodeMark(mark));
    return new Promise((known) => {
      this.#waiting.push({ mark, until: performance.now() + WAIT_MS, known });
      this.#timer ??= setTimeout(this.#late, WAIT_MS);
    });
  }

  /** A sibling confirmed a mark, or watches no longer. */
  settle(): void {
    const known = this.#watchers.confirmed;
    while (this.#waiting.length > 0 && this.#waiting[0]!.mark <= known) {
      this.#waiting.shift()!.known();
    }
    if (this.#waiting.length > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #late = (): void => {
    const now = performance.now();
    while (this.#waiting.length > 0 && this.#waiting[0]!.until <= now) {
      this.#waiting.shift()!.known();
    }
    const next = this.#waiting[0];
    this.#timer = next && setTimeout(this.#late, next.until - now);
  };

  /** Nobody waits any longer. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { known } of this.#waiting.splice(0)) known();
  }
}
