/** How refused event streams are delayed. */
export interface HoldOptions {
  /** Shortest and longest delay in milliseconds; each one is random between them. */
  delayMs: readonly [number, number];
  /** How many answers are held at a time: for one address, and in all. */
  perAddress: number;
  total: number;
}

export const DEFAULT_HOLD: HoldOptions = { delayMs: [2000, 5000], perAddress: 256, total: 8192 };

interface Held {
  address: string;
  release: () => void;
}

/**
 * Holds answers back for a while. Stock agents repeat a refused event stream at once, thousands of
 * times a second each, so the answer's delay is all that paces them. When too many are held, the
 * oldest goes early: a newcomer is always held, and memory stays bounded.
 */
export class Holder {
  readonly #options: HoldOptions;
  readonly #held = new Set<Held>();
  readonly #byAddress = new Map<string, Set<Held>>();

  constructor(options: HoldOptions) {
    this.#options = options;
  }

  /** How many answers are held now. */
  get size(): number {
    return this.#held.size;
  }

  /** Resolves after the delay, or earlier when the hold is full. */
  hold(address: string): Promise<void> {
    const [least, most] = this.#options.delayMs;
    const delay = least + Math.random() * (most - least);
    if (delay <= 0) return Promise.resolve();
    const mine = this.#byAddress.get(address) ?? new Set<Held>();
    this.#byAddress.set(address, mine);
    if (mine.size >= this.#options.perAddress) first(mine)?.release();
    if (this.#held.size >= this.#options.total) first(this.#held)?.release();
    return new Promise((resolve) => {
      const release = () => {
        clearTimeout(timer);
        this.#held.delete(held);
        mine.delete(held);
        if (mine.size === 0 && this.#byAddress.get(address) === mine) {
          this.#byAddress.delete(address);
        }
        resolve();
      };
      const timer = setTimeout(release, delay);
      const held: Held = { address, release };
      this.#held.add(held);
      mine.add(held);
      this.#byAddress.set(address, mine);
    });
  }

  /** Lets everything go: the server is closing. */
  releaseAll(): void {
    for (const held of [...this.#held]) held.release();
  }
}

function first<T>(set: Set<T>): T | undefined {
  return set.values().next().value;
}
