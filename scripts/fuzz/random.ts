/**
 * Chance that can be repeated, and ways to damage bytes.
 *
 * @module
 */

/** A generator of random numbers that gives the same ones for the same seed (xorshift128). */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seeds any numbers; all of them count */
  constructor(...seeds: number[]) {
    let mixed = 0x9e3779b9;
    const next = () => {
      mixed = (mixed + 0x6d2b79f5) | 0;
      let t = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return t ^ (t >>> 14);
    };
    for (const seed of seeds) {
      mixed = (mixed ^ seed) | 0;
      mixed = next();
    }
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1;
  }

  /** 0 to 2**32 - 1. */
  word(): number {
    let t = this.#a ^ (this.#a << 11);
    t ^= t >>> 8;
    this.#a = this.#b;
    this.#b = this.#c;
    this.#c = this.#d;
    this.#d ^= this.#d >>> 19 ^ t;
    return this.#d >>> 0;
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return Math.floor(this.word() / 2 ** 32 * n);
  }

  /** True once in n times. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }

  /** A length: mostly small, sometimes at a boundary, seldom up to `most`. */
  length(most: number): number {
    if (this.once(4)) return Math.min(most, this.pick(BOUNDARIES));
    return this.below(this.once(8) ? most + 1 : Math.min(most, 200));
  }
}

const BOUNDARIES = [
  ...[0, 1, 7, 8, 31, 32, 33, 55, 56, 61, 62, 63, 64, 125, 126, 127, 255, 256, 1000, 1001],
  ...[2047, 2048, 4096, 16_383, 16_384, 32_767, 32_768, 32_769, 65_535, 65_536, 65_568, 65_569],
];

/** Numbers that a length or a count is a lie with. */
const LIES = [0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 65_569];

/** Damages bytes in one to four ways; the result is at most `most` long. */
export function mutate(random: Random, bytes: Uint8Array, most = 131_072): Uint8Array {
  let out = bytes.slice();
  for (let i = random.below(4); i >= 0; i--) {
    const at = random.below(out.length + 1);
    const end = Math.min(out.length, at + 1 + random.below(random.once(4) ? 400 : 8));
    switch (random.below(8)) {
      case 0: // one bit
        if (at < out.length) out[at]! ^= 1 << random.below(8);
        break;
      case 1: // other bytes
        out.set(random.bytes(end - at), at);
        break;
      case 2: // cut off
        out = out.slice(0, at);
        break;
      case 3: // cut out
        out = join(out.subarray(0, at), out.subarray(end));
        break;
      case 4: // put in
        out = join(out.subarray(0, at), random.bytes(random.below(40)), out.subarray(at));
        break;
      case 5: // once more
        out = join(out.subarray(0, end), out.subarray(at, end), out.subarray(end));
        break;
      case 6: // a number that lies
        if (at + 4 <= out.length) {
          const lie = random.once(2) ? random.pick(LIES) : random.word();
          new DataView(out.buffer).setUint32(at, lie);
        }
        break;
      default: // one byte the same over and over
        out.fill(random.pick([0, 0xff, 0x20, 0x0a, 0x30, 0x22]), at, end);
    }
  }
  return out.length > most ? out.slice(0, most) : out;
}

/** Bytes one after the other. */
export function join(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Cuts bytes into pieces at random places. Empty pieces do not occur. */
export function cut(random: Random, bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const longest = random.pick([1, 4, 40, 600, 5_000, 70_000]);
  // A byte at a time is for short texts: a long one would take all the time there is.
  const step = Math.max(longest, Math.ceil(bytes.length / 200));
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + 1 + random.below(step));
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}
