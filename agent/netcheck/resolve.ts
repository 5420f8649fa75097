/**
 * Addresses of STUN servers, remembered: a round is asked every few seconds, and a name server that
 * is slow or away must not spoil each of them.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import ipaddr from "ipaddr.js";
import { parseHostPort } from "../../relay/net/mod.ts";
import { reasonOf } from "../errors.ts";
import type { AddressPort } from "./judge.ts";
import type { Family } from "./ports/mod.ts";

const STUN_PORT = 3478;
/** How long an answer of the resolver is good, ms. */
const LIFETIME = 300_000;
/** Most names remembered. */
const MAX_NAMES = 64;

/** A server's address of each IP version, where it has one. */
export type Addresses = Partial<Record<Family, AddressPort>>;

/** Asks the system's resolver; replaced in tests. */
export type Lookup = (name: string) => Promise<{ address: string; family: number }[]>;

const systemLookup: Lookup = (name) => lookup(name, { all: true });

/** See the top of the file. */
export class Resolver {
  readonly #known = new Map<string, { at: number; addresses: Addresses }>();
  /** One question at a time for a name: one without an answer holds a thread. */
  readonly #asking = new Map<string, Promise<Addresses>>();
  readonly #lookup: Lookup;
  readonly #now: () => number;

  constructor(look: Lookup = systemLookup, now: () => number = () => performance.now()) {
    this.#lookup = look;
    this.#now = now;
  }

  /** Forgets everything: the host is in another network. */
  forget(): void {
    this.#known.clear();
  }

  /**
   * Addresses of `host` or `host:port` (3478). An old answer is better than none. Rejects with a
   * short reason.
   */
  async resolve(server: string): Promise<Addresses> {
    const { hostname, port } = parseHostPort(server, STUN_PORT);
    if (hostname === "" || port === 0) throw new Error("not a host and port");
    if (ipaddr.IPv4.isValidFourPartDecimal(hostname) || ipaddr.IPv6.isValid(hostname)) {
      return addressesOf([hostname], port);
    }
    const known = this.#known.get(server);
    if (known !== undefined && this.#now() - known.at < LIFETIME) return known.addresses;
    try {
      return await this.#ask(server, hostname, port);
    } catch (error) {
      if (known !== undefined) return known.addresses;
      throw new Error(reasonOf(error, 120), { cause: error });
    }
  }

  #ask(server: string, hostname: string, port: number): Promise<Addresses> {
    const asked = this.#asking.get(server) ?? this.#lookup(hostname).then((found) => {
      const addresses = addressesOf(found.map(({ address }) => address), port);
      if (this.#known.size >= MAX_NAMES) this.#known.clear();
      this.#known.set(server, { at: this.#now(), addresses });
      return addresses;
    }).finally(() => this.#asking.delete(server));
    this.#asking.set(server, asked);
    return asked;
  }
}

function addressesOf(texts: string[], port: number): Addresses {
  const addresses: Addresses = {};
  for (const text of texts) {
    if (!ipaddr.isValid(text)) continue;
    const address = ipaddr.process(text);
    if (address instanceof ipaddr.IPv4) addresses[4] ??= { address: address.toString(), port };
    else addresses[6] ??= { address: address.toRFC5952String(), port };
  }
  return addresses;
}
