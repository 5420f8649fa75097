/**
 * Which loopback address stands for which relayed peer.
 *
 * WireGuard sends a peer's packets to the peer's own address in 127.0.0.0/8, so the address alone
 * says whom they are for. Addresses start at 127.0.0.3, never end in .0 or .255, and stay with a
 * peer: also while the peer is away, and across restarts (the owner of {@linkcode Endpoints} keeps
 * the map that {@linkcode Endpoints.assigned} returns and hands it in again).
 */
import { keyFromBase64, keyToBase64 } from "../../relay/derp/mod.ts";
import { ProxyError } from "../error.ts";

const FIRST = 0x7f000003;
const LAST = 0x7ffffffe;

/** Addresses of peers that were removed are remembered up to this many, the newest. */
export const MAX_REMEMBERED = 4096;

/** Peers with an address at one time: a limit against a hostile or broken list, not a goal. */
export const MAX_PEERS = 1_000_000;

/** Limits of an {@linkcode Endpoints}, smaller in tests. */
export interface EndpointLimits {
  /** First address, as a number. Default 127.0.0.3. */
  first?: number;
  /** Last address, as a number. Default 127.255.255.254. */
  last?: number;
  /** How many removed peers' addresses are remembered. */
  remembered?: number;
  /** How many peers may have an address. */
  peers?: number;
}

function formatAddress(n: number): string {
  return `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}`;
}

/** The number of a dotted IPv4 address in its one canonical spelling, or undefined. */
export function parseAddress(text: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (parts === null) return undefined;
  let n = 0;
  for (let i = 1; i <= 4; i++) {
    const octet = Number(parts[i]);
    if (octet > 255) return undefined;
    n = n * 256 + octet;
  }
  return formatAddress(n) === text ? n : undefined;
}

/** Gives each peer key an address of its own; see the top of the file. */
export class Endpoints {
  /** Every known peer, in use or remembered; in the order in which remembered ones grow old. */
  readonly #addressOf = new Map<string, number>();
  readonly #peerAt = new Map<number, string>();
  readonly #inUse = new Set<string>();
  /** Addresses that could not be bound: someone else has them. */
  readonly #blocked = new Set<number>();
  readonly #first: number;
  readonly #last: number;
  readonly #maxRemembered: number;
  readonly #maxPeers: number;
  /** Everything below has been given out once; so a search does not start over each time. */
  #next: number;

  /**
   * @param assigned what an earlier {@linkcode assigned} returned. Entries that are no key, no
   *   usable address, or an address that an earlier entry has, are left out one by one.
   */
  constructor(assigned: Record<string, unknown> = {}, limits: EndpointLimits = {}) {
    this.#first = limits.first ?? FIRST;
    this.#last = limits.last ?? LAST;
    this.#maxRemembered = limits.remembered ?? MAX_REMEMBERED;
    this.#maxPeers = limits.peers ?? MAX_PEERS;
    this.#next = this.#first;
    const stored = assigned !== null && typeof assigned === "object" ? assigned : {};
    for (const key in stored) {
      if (this.#addressOf.size >= this.#maxPeers) break;
      if (!Object.hasOwn(stored, key)) continue;
      const address = stored[key];
      if (typeof address !== "string") continue;
      const n = parseAddress(address);
      if (n === undefined || !this.#usable(n) || this.#peerAt.has(n)) continue;
      const name = canonicalKey(key);
      if (name === undefined || this.#addressOf.has(name)) continue;
      this.#addressOf.set(name, n);
      this.#peerAt.set(n, name);
    }
  }

  #usable(n: number): boolean {
    const last = n & 255;
    return n >= this.#first && n <= this.#last && last !== 0 && last !== 255;
  }

  /**
   * The address of a peer: its earlier one if it had one, else one that no known peer has.
   * Undefined when there is none left.
   *
   * @param key the peer's public key, base64
   */
  take(key: string): string | undefined {
    let n = this.#addressOf.get(key);
    if (n === undefined) {
      if (this.#inUse.size >= this.#maxPeers) return undefined;
      n = this.#fresh();
      if (n === undefined) return undefined;
      this.#addressOf.set(key, n);
      this.#peerAt.set(n, key);
    }
    this.#inUse.add(key);
    return formatAddress(n);
  }

  /** The address a peer has or would get back, if it is known. */
  addressOf(key: string): string | undefined {
    const n = this.#addressOf.get(key);
    return n === undefined ? undefined : formatAddress(n);
  }

  /** A never used address; when those are used up, a free one; last, the oldest remembered one. */
  #fresh(): number | undefined {
    for (; this.#next <= this.#last; this.#next++) {
      if (this.#free(this.#next)) return this.#next++;
    }
    // A whole turn was made. Free ones may have appeared behind; only small ranges come here.
    this.#forget(0);
    for (let n = this.#first; n <= this.#last; n++) {
      if (!this.#free(n)) continue;
      this.#next = n + 1;
      return n;
    }
    return undefined;
  }

  #free(n: number): boolean {
    return this.#usable(n) && !this.#peerAt.has(n) && !this.#blocked.has(n);
  }

  /** Frees a peer's address. It stays remembered, so that a peer that returns has it again. */
  release(key: string): void {
    if (!this.#inUse.delete(key)) return;
    const n = this.#addressOf.get(key)!;
    // To the end of the order: the newest to be remembered.
    this.#addressOf.delete(key);
    this.#addressOf.set(key, n);
    this.#forget(this.#maxRemembered);
  }

  /** Says that a peer's address cannot be bound; {@linkcode take} then gives it another one. */
  block(key: string): void {
    const n = this.#addressOf.get(key);
    if (n === undefined) return;
    this.#inUse.delete(key);
    this.#addressOf.delete(key);
    this.#peerAt.delete(n);
    if (this.#blocked.size < 65_536) this.#blocked.add(n);
  }

  /** Takes {@linkcode block} back: these addresses can be bound after all. */
  unblock(addresses: string[]): void {
    for (const address of addresses) {
      const n = parseAddress(address);
      if (n === undefined || !this.#blocked.delete(n)) continue;
      if (n < this.#next) this.#next = n;
    }
  }

  /** Remembers again the address that a peer had before {@linkcode block}, if it is free. */
  restore(key: string, address: string): void {
    const n = parseAddress(address);
    if (n === undefined || !this.#free(n) || this.#addressOf.has(key)) return;
    this.#addressOf.set(key, n);
    this.#peerAt.set(n, key);
  }

  /** Drops the oldest remembered addresses down to `keep`. */
  #forget(keep: number): void {
    let surplus = this.#addressOf.size - this.#inUse.size - keep;
    if (surplus <= 0) return;
    for (const [key, n] of this.#addressOf) {
      if (this.#inUse.has(key)) continue;
      this.#addressOf.delete(key);
      this.#peerAt.delete(n);
      if (--surplus === 0) return;
    }
  }

  /** How many peers have an address in use. */
  get size(): number {
    return this.#inUse.size;
  }

  /** Every known peer's address, also those remembered: base64 key to dotted address. */
  assigned(): Record<string, string> {
    const all: Record<string, string> = {};
    for (const [key, n] of this.#addressOf) all[key] = formatAddress(n);
    return all;
  }
}

/** A key's text in its one spelling, or undefined when it is no key. */
function canonicalKey(text: string): string | undefined {
  try {
    return keyToBase64(keyFromBase64(text));
  } catch {
    return undefined;
  }
}

/** @throws ProxyError when `port` is none that datagrams can be sent to */
export function checkPort(port: number, whose: string): void {
  if (Number.isInteger(port) && port > 0 && port < 65_536) return;
  throw new ProxyError(`Cannot use port ${port} for ${whose}: not from 1 to 65535; choose another`);
}
