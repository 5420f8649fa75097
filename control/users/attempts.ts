/** How often something may be tried: so many at once, then one each so often. */
export interface AttemptLimits {
  /** Tries in a row. */
  burst: number;
  /** A further one each so many milliseconds. */
  everyMs: number;
}

/** Keys whose tries are counted; beyond that the longest known one is forgotten. */
const MAX_KEYS = 10_000;

/** Counts tries by key. Memory is bounded, and a key that was left alone is forgotten. */
export class Attempts {
  readonly #limits: AttemptLimits;
  readonly #now: () => number;
  /** When all tries of a key will have been made good, ms since the epoch. */
  readonly #paidAt = new Map<string, number>();

  constructor(limits: AttemptLimits, now: () => number = Date.now) {
    this.#limits = limits;
    this.#now = now;
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#paidAt.size;
  }

  /** How long until the next try of this key may be made, ms; 0: now. */
  wait(key: string): number {
    const { burst, everyMs } = this.#limits;
    const now = this.#now();
    return Math.max(0, this.#debt(key, now) - (burst - 1) * everyMs);
  }

  /** Counts a try. */
  take(key: string): void {
    const now = this.#now();
    const paidAt = now + this.#debt(key, now) + this.#limits.everyMs;
    this.#paidAt.delete(key);
    if (this.#paidAt.size >= MAX_KEYS) this.#forget(now);
    this.#paidAt.set(key, paidAt);
  }

  /** Counts one try less: it was a good one. */
  giveBack(key: string): void {
    const paidAt = this.#paidAt.get(key);
    if (paidAt === undefined) return;
    const less = paidAt - this.#limits.everyMs;
    if (less <= this.#now()) this.#paidAt.delete(key);
    else this.#paidAt.set(key, less);
  }

  /** How long it takes to make all tries good; never more than their number, if the clock was set back. */
  #debt(key: string, now: number): number {
    const { burst, everyMs } = this.#limits;
    return Math.min(Math.max(0, (this.#paidAt.get(key) ?? 0) - now), burst * everyMs);
  }

  #forget(now: number): void {
    for (const [key, paidAt] of this.#paidAt) if (paidAt <= now) this.#paidAt.delete(key);
    const first = this.#paidAt.keys().next();
    if (this.#paidAt.size >= MAX_KEYS && !first.done) this.#paidAt.delete(first.value);
  }
}

/** The network that tries of an address count for: an IPv6 host has a whole /64 to come from. */
export function networkOf(address: string): string {
  const four = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (four !== undefined || !address.includes(":")) return four ?? address;
  const [head = "", tail] = address.split("%")[0]!.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => "0");
  const groups = tail === undefined ? first : [...first, ...zeros, ...last];
  return `${groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
