/**
 * Writes what a turn of the event loop has queued, at the turn's end.
 *
 * Everything that was readable in one turn has been read and queued by then, so each client gets
 * one write for all of it; and a lone packet leaves in the same turn, without a timer.
 */

import { IoPoll } from "./io_poll.ts";
import { Moderation } from "./moderation.ts";

/** While clients use up their turns, the sockets are looked at this often, in milliseconds. */
const LOOK_MS = 0.5;

/** What can wait is written with what comes within this time, in milliseconds. */
const LATER_MS = 250;

/** Something that has frames to write. */
export interface Flushable {
  /** True while it stands in the list; owned by the flusher. */
  marked: boolean;
  /** The same of the list of those that can wait. */
  markedLater: boolean;
  /** Starts the write. Must not throw. */
  flush(): void;
}

/** Something that goes on in the next turn. */
export interface Resumable {
  /** Goes on. Must not throw. */
  resume(): void;
}

export class Flusher {
  /** Turns that have ended with a write or a resumption; only compared for equality. */
  turn = 0;
  #list: Flushable[] = [];
  #spare: Flushable[] = [];
  #waiting: Resumable[] = [];
  #spareWaiting: Resumable[] = [];
  #scheduled = false;
  readonly #later: Flushable[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #io = new IoPoll();
  #looking = false;
  #lookedAt = -Infinity;
  readonly #moderation: Moderation | undefined;
  readonly #run = () => this.#flushAll();
  readonly #runLater = () => {
    this.#timer = undefined;
    const later = this.#later;
    for (let i = 0; i < later.length; i++) {
      later[i]!.markedLater = false;
      this.mark(later[i]!);
    }
    later.length = 0;
  };
  readonly #looked = () => {
    this.#looking = false;
    this.#lookedAt = performance.now();
    this.#resumeAll();
  };

  /** @param counters when given, packets may be let gather: see {@link Moderation} */
  constructor(counters?: { readonly packetsReceived: number }) {
    if (counters !== undefined) this.#moderation = new Moderation(() => counters.packetsReceived);
  }

  /** Has `flush` called at the end of this turn. */
  mark(item: Flushable): void {
    if (item.marked) return;
    item.marked = true;
    this.#list.push(item);
    this.#schedule();
  }

  /**
   * Has `flush` called within a quarter of a second, for what says no more when it comes at once:
   * many such frames are one write, and wake the other side once.
   */
  markLater(item: Flushable): void {
    if (item.marked || item.markedLater) return;
    item.markedLater = true;
    this.#later.push(item);
    this.#timer ??= setTimeout(this.#runLater, LATER_MS);
  }

  /** Has `resume` called when this turn has ended and all that it queued is being written. */
  resumeLater(item: Resumable): void {
    this.#waiting.push(item);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  #flushAll(): void {
    this.#scheduled = false;
    const list = this.#list;
    this.#list = this.#spare;
    for (let i = 0; i < list.length; i++) {
      const item = list[i]!;
      item.marked = false;
      item.flush();
    }
    list.length = 0;
    this.#spare = list;
    this.#moderation?.turnEnded();
    this.turn += 1;
    if (this.#looking || this.#waiting.length === 0) return;
    if (performance.now() - this.#lookedAt < LOOK_MS) this.#resumeAll();
    else if (this.#io.start(this.#looked)) this.#looking = true;
    else this.#resumeAll();
  }

  #resumeAll(): void {
    const waiting = this.#waiting;
    this.#waiting = this.#spareWaiting;
    for (let i = 0; i < waiting.length; i++) waiting[i]!.resume();
    waiting.length = 0;
    this.#spareWaiting = waiting;
  }

  /** Gives up what it holds of the system. What waits is resumed. */
  close(): void {
    clearTimeout(this.#timer);
    this.#io.close();
  }
}
