/**
 * How much of a full queue each source has in it, and how much of that must go so that all get a
 * fair share: what a light source has waiting stays, what is left is shared by the heavy ones
 * (max-min fairness).
 *
 * One table serves all queues of a process, because it is used within a call. Sources are told
 * apart by the first eight bytes of their keys.
 */

const SLOTS = 2048;
/** Sources told apart; more of them, which no queue of the default limits can hold, count as one. */
const MOST = SLOTS / 2;

export class SourceTally {
  readonly #salt = crypto.getRandomValues(new Int32Array(1))[0]!;
  readonly #low = new Int32Array(SLOTS);
  readonly #high = new Int32Array(SLOTS);
  /** What a source has waiting; after {@link share} what of it must go. */
  readonly #weights = new Float64Array(SLOTS + 1);
  readonly #taken = new Uint8Array(SLOTS);
  readonly #used = new Int32Array(MOST + 1);
  #sources = 0;
  #excess = 0;

  /** Sources counted since the start. */
  get sources(): number {
    return this.#sources;
  }

  /** What must still go, in all. */
  get excess(): number {
    return this.#excess;
  }

  start(): void {
    for (let i = 0; i < this.#sources; i++) {
      const slot = this.#used[i]!;
      this.#weights[slot] = 0;
      if (slot < SLOTS) this.#taken[slot] = 0;
    }
    this.#sources = this.#excess = 0;
  }

  /** Counts `weight` for the source whose key is at `at`. */
  add(buffer: Uint8Array, at: number, weight: number): void {
    const slot = this.#find(buffer, at);
    if (slot === SLOTS) {
      if (this.#weights[SLOTS] === 0) this.#used[this.#sources++] = SLOTS;
    } else if (this.#taken[slot] === 0) {
      this.#taken[slot] = 1;
      this.#low[slot] = word(buffer, at);
      this.#high[slot] = word(buffer, at + 4);
      this.#used[this.#sources++] = slot;
    }
    this.#weights[slot]! += weight;
  }

  /** Shares `total` among the sources counted; what one has beyond its share must go. */
  share(total: number): void {
    const weights = this.#weights;
    let left = total;
    let sharing = this.#sources;
    let share = left / sharing;
    // Those below the share leave theirs to the others, whose share grows: until none is below.
    for (let before = -1; before !== sharing && sharing > 0;) {
      before = sharing;
      left = total;
      sharing = this.#sources;
      for (let i = 0; i < this.#sources; i++) {
        const weight = weights[this.#used[i]!]!;
        if (weight > share) continue;
        left -= weight;
        sharing -= 1;
      }
      if (sharing > 0) share = left / sharing;
    }
    for (let i = 0; i < this.#sources; i++) {
      const slot = this.#used[i]!;
      weights[slot] = Math.max(0, weights[slot]! - share);
      this.#excess += weights[slot];
    }
  }

  /** Whether this source still has too much. If so, `weight` of it is taken as gone. */
  drops(buffer: Uint8Array, at: number, weight: number): boolean {
    const slot = this.#find(buffer, at);
    const over = this.#weights[slot]!;
    if (over <= 0) return false;
    this.#weights[slot] = over - weight;
    this.#excess -= Math.min(over, weight);
    return true;
  }

  /** The source's slot, or the free one that it would get. */
  #find(buffer: Uint8Array, at: number): number {
    const low = word(buffer, at);
    const high = word(buffer, at + 4);
    let slot = (Math.imul(low ^ this.#salt, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b)) >>> 21;
    while (this.#taken[slot] === 1) {
      if (this.#low[slot] === low && this.#high[slot] === high) return slot;
      slot = (slot + 1) % SLOTS;
    }
    return this.#sources < MOST ? slot : SLOTS;
  }
}

/** The four bytes at an offset as one signed number. */
export function word(buffer: Uint8Array, at: number): number {
  return buffer[at]! | buffer[at + 1]! << 8 | buffer[at + 2]! << 16 | buffer[at + 3]! << 24;
}
