/**
 * Who may come in: how many connections at a time, of everybody and of one address.
 *
 * A stranger costs a socket, a TLS handshake and a little memory before anything is known about
 * him. Nobody can be kept from paying with his own connections; these limits keep him from paying
 * with everybody's.
 */
import { type Endpoint, hangUp } from "../../net/mod.ts";
import type { Sweep } from "../../server/mod.ts";
import { isLoopback, siteOf, unmapped } from "./address.ts";
import { RateLimit } from "./rate.ts";

/** Limits of the listener. */
export interface GateOptions {
  /** New connections a second, and at once. Undefined: any number. */
  acceptLimit?: { perSecond: number; burst: number } | undefined;
  /**
   * Connections of one address (IPv6: of one /64): `unfinished` ones, which have not logged in,
   * and in `total`. The host itself may have any number in total, as it does behind a proxy.
   */
  perAddress?: { unfinished: number; total: number } | undefined;
  /** Unfinished connections of all addresses; with one more the oldest of them ends. */
  unfinished?: number | undefined;
}

export const DEFAULT_PER_ADDRESS = { unfinished: 256, total: 4096 };
export const DEFAULT_UNFINISHED = 8192;

/** Connections closed before their TLS handshake are hung up together, after this. */
const HANG_UP_MS = 100;

/** What is counted; the names are the relay's. */
export interface GateCounters {
  acceptLimited: number;
  addressLimited: number;
}

interface Site {
  name: string;
  unfinished: number;
  total: number;
}

/** A connection that came in. */
export interface Visit {
  /** The client's address, IPv4 in its own form. */
  readonly address: string;
  readonly port: number;
  /** Time of `performance.now()` when it was accepted. */
  readonly acceptedAt: number;
  /** The TLS handshake is over: from here on a close is one. */
  shaken(): void;
  /** The client has logged in. */
  finished(): void;
}

class Visitor implements Visit {
  #gate: Gate | undefined;
  #shaken = false;

  constructor(
    gate: Gate,
    readonly conn: Deno.Conn,
    readonly site: Site,
    readonly address: string,
    readonly port: number,
    readonly acceptedAt: number,
  ) {
    this.#gate = gate;
  }

  shaken(): void {
    this.#shaken = true;
  }

  finished(): void {
    if (this.#gate?.unfinished.delete(this)) this.site.unfinished -= 1;
  }

  left(): void {
    const gate = this.#gate;
    if (gate === undefined) return;
    this.finished();
    this.#gate = undefined;
    this.site.total -= 1;
    if (this.site.total === 0) gate.sites.delete(this.site.name);
    if (!this.#shaken) gate.hangUp(this.conn);
  }
}

export class Gate {
  readonly #rate: RateLimit | undefined;
  readonly #perAddress: { unfinished: number; total: number };
  readonly #maxUnfinished: number;
  readonly #counters: GateCounters;
  readonly #sweep: Sweep;
  /** Clients whose connections were closed within the TLS handshake, by the port they came to. */
  readonly #doomed = new Map<number, Endpoint[]>();
  /** Oldest first. */
  readonly unfinished = new Set<Visitor>();
  readonly sites = new Map<string, Site>();

  constructor(counters: GateCounters, sweep: Sweep, options: GateOptions = {}) {
    const { acceptLimit, perAddress, unfinished } = options;
    this.#counters = counters;
    this.#sweep = sweep;
    this.#rate = acceptLimit && new RateLimit(acceptLimit.perSecond, acceptLimit.burst);
    this.#perAddress = perAddress ?? DEFAULT_PER_ADDRESS;
    this.#maxUnfinished = unfinished ?? DEFAULT_UNFINISHED;
  }

  /**
   * Counts a connection in, until it is closed; undefined, and closed already, when it is one too
   * many. Nothing has been read of it then, so no handshake has been paid for.
   */
  enter(conn: Deno.Conn): Visit | undefined {
    const now = performance.now();
    if (this.#rate !== undefined && !this.#rate.take(now)) {
      this.#counters.acceptLimited += 1;
      return this.#refuse(conn);
    }
    const remote = conn.remoteAddr as Deno.NetAddr;
    const address = unmapped(remote.hostname);
    const site = this.#siteOf(address);
    const { unfinished, total } = this.#perAddress;
    if (site.unfinished >= unfinished || (site.total >= total && !isLoopback(address))) {
      this.#counters.addressLimited += 1;
      return this.#refuse(conn);
    }
    this.sites.set(site.name, site);
    site.unfinished += 1;
    site.total += 1;
    const visitor = new Visitor(this, conn, site, address, remote.port, now);
    this.unfinished.add(visitor);
    // Whoever ends a connection closes it: the one event that every way out has in common.
    const { close } = conn;
    conn.close = () => {
      visitor.left();
      close.call(conn);
    };
    if (this.unfinished.size > this.#maxUnfinished) {
      this.#counters.acceptLimited += 1;
      this.endOldest(1);
    }
    return visitor;
  }

  #refuse(conn: Deno.Conn): undefined {
    tryClose(conn);
    this.hangUp(conn);
  }

  /** Ends what a close within the TLS handshake leaves open; see {@link hangUp}. */
  hangUp(conn: Deno.Conn): void {
    if (!isTls(conn)) return;
    const { port } = conn.localAddr as Deno.NetAddr;
    if (this.#doomed.size === 0) this.#sweep.deadline(HANG_UP_MS, () => this.hangUpNow());
    const peers = this.#doomed.get(port) ?? [];
    peers.push(conn.remoteAddr as Deno.NetAddr);
    this.#doomed.set(port, peers);
  }

  /** Does at once what was put off. */
  hangUpNow(): void {
    for (const [port, peers] of this.#doomed) hangUp(port, peers);
    this.#doomed.clear();
  }

  #siteOf(address: string): Site {
    const name = siteOf(address);
    return this.sites.get(name) ?? { name, unfinished: 0, total: 0 };
  }

  /** Ends the `count` oldest connections that have not logged in. */
  endOldest(count: number): void {
    for (const { conn } of this.unfinished) {
      if (count-- <= 0) return;
      tryClose(conn);
    }
  }
}

/** Whether a connection has a TLS handshake to make. */
export function isTls(conn: Deno.Conn): conn is Deno.TlsConn {
  return "handshake" in conn;
}

function tryClose(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Closed before.
  }
}
