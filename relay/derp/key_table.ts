import { KEY_LENGTH } from "./constants.ts";
import { DerpError } from "./error.ts";

/** A key and its value, in the chain of entries that share a number. */
interface Entry<T> {
  readonly key: Uint8Array;
  value: T;
  next: Entry<T> | undefined;
}

/**
 * A map from 32-byte keys to values for the packet path: looking up allocates nothing, needs no
 * subarray, and costs one comparison when the key is the one looked up before.
 *
 * Keys are found by a 31-bit number (so that the engine never boxes it) mixed from their first
 * bytes and a random salt (so that nobody can choose keys that share one), then compared in full.
 */
export class KeyTable<T> {
  readonly #chains = new Map<number, Entry<T>>();
  readonly #salt = crypto.getRandomValues(new Int32Array(2));
  #last: Entry<T> | undefined;
  #size = 0;

  /** Number of keys. */
  get size(): number {
    return this.#size;
  }

  /** The value of the 32 bytes at `offset` of `buf`; undefined when unknown or out of bounds. */
  get(buf: Uint8Array, offset = 0): T | undefined {
    const last = this.#last;
    if (last !== undefined && matches(last.key, buf, offset)) return last.value;
    let entry = this.#chains.get(this.#number(buf, offset));
    while (entry !== undefined) {
      if (matches(entry.key, buf, offset)) {
        this.#last = entry;
        return entry.value;
      }
      entry = entry.next;
    }
    return undefined;
  }

  /**
   * Sets the value of a key; the key is copied.
   *
   * @throws {DerpError} when the key is not 32 bytes
   */
  set(key: Uint8Array, value: T): void {
    this.adopt(key.slice(), value);
  }

  /**
   * Sets the value of a key and keeps the very array, if the key is new: nobody may change it.
   *
   * @throws {DerpError} when the key is not 32 bytes
   */
  adopt(key: Uint8Array, value: T): void {
    if (key.length !== KEY_LENGTH) {
      throw new DerpError(`Cannot use key: ${key.length} bytes, not ${KEY_LENGTH}`);
    }
    const number = this.#number(key, 0);
    const first = this.#chains.get(number);
    for (let entry = first; entry !== undefined; entry = entry.next) {
      if (matches(entry.key, key, 0)) {
        entry.value = value;
        return;
      }
    }
    this.#chains.set(number, { key, value, next: first });
    this.#size++;
  }

  /** Removes a key; tells whether it was there. */
  delete(key: Uint8Array): boolean {
    const number = this.#number(key, 0);
    let before: Entry<T> | undefined;
    let entry = this.#chains.get(number);
    while (entry !== undefined && !matches(entry.key, key, 0)) {
      before = entry;
      entry = entry.next;
    }
    if (entry === undefined) return false;
    if (before !== undefined) before.next = entry.next;
    else if (entry.next !== undefined) this.#chains.set(number, entry.next);
    else this.#chains.delete(number);
    if (this.#last === entry) this.#last = undefined;
    this.#size--;
    return true;
  }

  /** Removes all keys. */
  clear(): void {
    this.#chains.clear();
    this.#last = undefined;
    this.#size = 0;
  }

  /** All values, in no promised order. */
  *values(): IterableIterator<T> {
    for (const first of this.#chains.values()) {
      for (let entry: Entry<T> | undefined = first; entry !== undefined; entry = entry.next) {
        yield entry.value;
      }
    }
  }

  /** All keys (the table's own copies: do not change them) and values. */
  *entries(): IterableIterator<[Uint8Array, T]> {
    for (const first of this.#chains.values()) {
      for (let entry: Entry<T> | undefined = first; entry !== undefined; entry = entry.next) {
        yield [entry.key, entry.value];
      }
    }
  }

  #number(buf: Uint8Array, offset: number): number {
    const low = buf[offset]! | buf[offset + 1]! << 8 | buf[offset + 2]! << 16 |
      buf[offset + 3]! << 24;
    const high = buf[offset + 4]! | buf[offset + 5]! << 8 | buf[offset + 6]! << 16 |
      buf[offset + 7]! << 24;
    let number = Math.imul(low ^ this.#salt[0]!, 0x9e3779b1);
    number = Math.imul((number ^ (number >>> 15)) + high ^ this.#salt[1]!, 0x85ebca6b);
    return (number ^ (number >>> 13)) >> 1;
  }
}

/** Whether the 32 bytes at `offset` of `buf` are `key`. */
function matches(key: Uint8Array, buf: Uint8Array, offset: number): boolean {
  for (let i = 0; i < KEY_LENGTH; i++) {
    if (key[i] !== buf[offset + i]) return false;
  }
  return true;
}
