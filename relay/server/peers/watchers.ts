/**
 * Relays and siblings that watch who is connected here.
 *
 * A relay of the region hears of every key that this relay has, on whichever worker; a sibling
 * only of those connected to this worker. What a watcher is told is what became of a key last: it
 * may hear of something twice, but never misses a change. One that does not keep up is closed.
 */
import { FrameType } from "../../derp/mod.ts";
import type { Counters } from "../counters.ts";
import type { Distribution } from "../report/mod.ts";
import { MAX_UPDATES } from "../limits.ts";

/** Where a watcher's frames go. */
export interface WatcherOutput {
  /** Whether the watcher is a worker of this very relay. */
  readonly sibling: boolean;
  /** Queues a frame; false when it must wait. */
  control(frame: Uint8Array): boolean;
  close(): void;
}

/** How changes leave: in batches of so many, and what is told at one time in so many rounds. */
export interface Telling {
  batches: Distribution;
  rounds: Distribution;
}

/** One watcher and what it has not been told yet. */
export class Watcher {
  readonly #output: WatcherOutput;
  readonly #counters: Counters;
  readonly #telling: Telling | undefined;
  /** Changes that wait for room; those before `#told` have left. */
  #updates: Uint8Array[] = [];
  #told = 0;
  /** Frames of the keys that were there already, made when there is room for them. */
  #present: Iterator<Uint8Array> | undefined;
  /** Batches since all was told last. */
  #rounds = 0;
  /** The last mark that a sibling has confirmed. */
  confirmed = 0;

  constructor(output: WatcherOutput, counters: Counters, telling?: Telling) {
    this.#output = output;
    this.#counters = counters;
    this.#telling = telling;
  }

  get sibling(): boolean {
    return this.#output.sibling;
  }

  /** Tells of every key there is. Changes from now on may be told before or in between. */
  flood(present: Iterator<Uint8Array>): void {
    this.#present = present;
    this.refill();
  }

  /** Tells of a change. */
  update(frame: Uint8Array): void {
    const before = this.#counters.meshUpdates;
    if (this.#told === this.#updates.length && this.#tell(frame)) {
      return this.#batch(this.#counters.meshUpdates - before);
    }
    this.#updates.push(frame);
    if (this.#updates.length - this.#told > MAX_UPDATES) this.#output.close();
  }

  /** There may be room again. */
  refill(): void {
    const before = this.#counters.meshUpdates;
    this.#tellAll();
    this.#batch(this.#counters.meshUpdates - before);
  }

  #tellAll(): void {
    while (this.#told < this.#updates.length) {
      if (!this.#tell(this.#updates[this.#told]!)) return;
      this.#told += 1;
    }
    if (this.#told > 0) {
      this.#updates = [];
      this.#told = 0;
    }
    while (this.#present !== undefined) {
      const { value, done } = this.#present.next();
      if (done) this.#present = undefined;
      // What found no room waits as a change does.
      else if (!this.#tell(value)) return void this.#updates.push(value);
    }
  }

  #batch(changes: number): void {
    if (changes === 0 || this.#telling === undefined) return;
    this.#telling.batches.add(changes);
    this.#rounds += 1;
    if (this.#present !== undefined || this.#told < this.#updates.length) return;
    this.#telling.rounds.add(this.#rounds);
    this.#rounds = 0;
  }

  #tell(frame: Uint8Array): boolean {
    if (!this.#output.control(frame)) return false;
    // A Ping only marks a point in what is told.
    if (frame[0] !== FrameType.Ping) this.#counters.meshUpdates += 1;
    return true;
  }
}

/** All watchers. */
export class Watchers {
  readonly #all = new Set<Watcher>();

  get size(): number {
    return this.#all.size;
  }

  add(watcher: Watcher): void {
    this.#all.add(watcher);
  }

  delete(watcher: Watcher): void {
    this.#all.delete(watcher);
  }

  /** Whether somebody watches who is a sibling, or who is none. */
  has(sibling: boolean): boolean {
    for (const watcher of this.#all) if (watcher.sibling === sibling) return true;
    return false;
  }

  /** The last mark that all siblings have confirmed. */
  get confirmed(): number {
    let least = Infinity;
    for (const { sibling, confirmed } of this.#all) if (sibling) least = Math.min(least, confirmed);
    return least;
  }

  /** Tells the siblings, or the relays of the region. */
  tell(sibling: boolean, frame: Uint8Array): void {
    for (const watcher of this.#all) if (watcher.sibling === sibling) watcher.update(frame);
  }
}
