/**
 * Keeps two handshake initiations that cross on the relay from spoiling each other.
 *
 * WireGuard forgets its own initiation when it answers the peer's. Where both sides do so at the
 * same time, neither takes the other's answer, and both try again only after 5 s
 * (REKEY_TIMEOUT). So one of the two has to wait, and both sides must agree which: the proxy of the
 * side with the lower public key keeps the peer's initiation back while its own is under way. The
 * answer to its own makes the other one superfluous; without an answer the other one goes on. The
 * side with the higher key does nothing, so its proxy may be any other.
 *
 * Nothing is repeated, changed or thrown away for which there was no answer: at worst a handshake
 * comes {@linkcode HOLD_MS} later than without this.
 *
 * @module
 */

/** Where time comes from; another one in tests. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Runs something later; returns how to cancel it. */
  after(ms: number, run: () => void): () => void;
}

/** What a {@linkcode Crossing} works on. */
export interface CrossingWays {
  /** Sends the peer a packet that was held; it must have been copied on return. */
  toRelay(packet: Uint8Array): void;
  /** Gives WireGuard a packet of the peer that was held; the memory stays as it is. */
  toWireguard(packet: Uint8Array): void;
  /** An initiation was thrown away, because the one that it crossed was answered. */
  dropped(): void;
  /** When the connection to the relay came to be: what came before was held for it. */
  connectedAt(): number;
}

/**
 * An initiation that is under way for longer has no answer to come, or one from very far: the round
 * trip between the two hosts over the relay is shorter. Milliseconds.
 */
export const HOLD_MS = 150;

/** WireGuard on this host answers an initiation within this time. Milliseconds. */
export const ANSWER_MS = 30;

/** First byte of a data packet: nothing to look at. */
export const DATA = 4;

/** An initiation from before the connection was not held for it when it is older. Milliseconds. */
const QUEUED_MS = 2_000;

const INITIATION = 1, INITIATION_LENGTH = 148;
const RESPONSE = 2, RESPONSE_LENGTH = 92;
/** Where an initiation has its sender's index, and a response that of the initiation it answers. */
const SENDER = 4, RECEIVER = 8;

const CLOCK: Clock = {
  now: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** Whether the first of two public keys is the lower one, its first byte counting most. */
export function isLower(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! < b[i]!;
  return false;
}

/** The handshakes with one peer, whose key is the higher one. See the top of the file. */
export class Crossing {
  readonly #ways: CrossingWays;
  readonly #clock: Clock;
  /** When WireGuard's initiation went out that has no answer yet, and its index. */
  #ownAt = -Infinity;
  #ownIndex = 0;
  /** When WireGuard got the peer's initiation that it has not answered yet. */
  #givenAt = -Infinity;
  /** The initiation that is kept back, and whose it is. Memory is taken when there is a first one. */
  #packet: Uint8Array | undefined;
  #held: "none" | "own" | "theirs" = "none";
  #cancel: (() => void) | undefined;

  constructor(ways: CrossingWays, clock: Clock = CLOCK) {
    this.#ways = ways;
    this.#clock = clock;
  }

  /**
   * Looks at a packet from WireGuard; false: it is kept back.
   *
   * @param data starts with the packet, and may be longer
   */
  outgoing(data: Uint8Array, length: number): boolean {
    if (isType(data, 0, length, RESPONSE, RESPONSE_LENGTH)) {
      this.#givenAt = this.#ownAt = -Infinity;
      // With its answer WireGuard has forgotten an initiation of its own.
      if (this.#held === "own") this.#drop();
      else if (this.#held === "theirs") this.#release();
    } else if (isType(data, 0, length, INITIATION, INITIATION_LENGTH)) {
      const now = this.#clock.now();
      const answering = this.#givenAt + ANSWER_MS - now;
      if (answering > 0 && this.#held !== "theirs") {
        this.#hold("own", data, 0, answering);
        return false;
      }
      this.#sends(data, now);
    }
    return true;
  }

  /** Looks at a packet of the peer; false: it is kept back. */
  incoming(buf: Uint8Array, offset: number, length: number): boolean {
    if (isType(buf, offset, length, RESPONSE, RESPONSE_LENGTH)) {
      if (indexAt(buf, offset + RECEIVER) !== this.#ownIndex) return true;
      this.#ownAt = -Infinity;
      if (this.#held === "theirs") this.#drop();
    } else if (isType(buf, offset, length, INITIATION, INITIATION_LENGTH)) {
      const now = this.#clock.now();
      const answer = this.#underWaySince() + HOLD_MS - now;
      if (answer > 0) {
        if (this.#held === "theirs") this.#keep(buf, offset);
        else this.#hold("theirs", buf, offset, answer);
        return false;
      }
      this.#givenAt = now;
      if (this.#held === "own") this.#wait(ANSWER_MS);
    }
    return true;
  }

  /** Forgets what is kept back. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#held = "none";
  }

  /** When WireGuard's unanswered initiation went on its way, or -Infinity. */
  #underWaySince(): number {
    const connectedAt = this.#ways.connectedAt();
    if (this.#ownAt >= connectedAt) return this.#ownAt;
    return this.#ownAt >= connectedAt - QUEUED_MS ? connectedAt : -Infinity;
  }

  #sends(data: Uint8Array, now: number): void {
    this.#ownAt = now;
    this.#ownIndex = indexAt(data, SENDER);
  }

  #hold(whose: "own" | "theirs", buf: Uint8Array, offset: number, ms: number): void {
    this.#held = whose;
    this.#keep(buf, offset);
    this.#wait(ms);
  }

  /** Byte by byte: a view would be garbage for each. */
  #keep(buf: Uint8Array, offset: number): void {
    const packet = this.#packet ??= new Uint8Array(INITIATION_LENGTH);
    for (let i = 0; i < INITIATION_LENGTH; i++) packet[i] = buf[offset + i]!;
  }

  #wait(ms: number): void {
    this.#cancel?.();
    this.#cancel = this.#clock.after(ms, this.#release);
  }

  #drop(): void {
    this.close();
    this.#ways.dropped();
  }

  /** Nobody answered: what was kept back goes on. */
  readonly #release = (): void => {
    const held = this.#held, now = this.#clock.now();
    this.close();
    if (held === "own") {
      this.#sends(this.#packet!, now);
      this.#ways.toRelay(this.#packet!);
    } else if (held === "theirs") {
      this.#givenAt = now;
      // A copy: it may still be on its way when the next one is kept.
      this.#ways.toWireguard(this.#packet!.slice());
    }
  };
}

function isType(
  buf: Uint8Array,
  offset: number,
  length: number,
  type: number,
  expected: number,
): boolean {
  return length === expected && buf[offset] === type &&
    (buf[offset + 1]! | buf[offset + 2]! | buf[offset + 3]!) === 0;
}

function indexAt(buf: Uint8Array, at: number): number {
  return (buf[at]! | buf[at + 1]! << 8 | buf[at + 2]! << 16 | buf[at + 3]! << 24) >>> 0;
}
