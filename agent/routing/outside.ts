/**
 * Addresses that must be reached outside the tunnel whatever peers ask for: the control plane,
 * relays, STUN servers and name servers. The runtime gives no hold of a TCP socket before it
 * connects, so its connections carry no mark and are known by where they go.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import ipaddr from "ipaddr.js";
import type { UnderlayServer } from "../host/mod.ts";

/** Most names, addresses of a name, and name servers. */
const MAX_NAMES = 48, MAX_ADDRESSES = 16, MAX_RESOLVERS = 8;
/** How often a name is asked for again, and how long an address stays that is not told any more, ms. */
const REFRESH = 60_000, MEMORY = 600_000;
/** How long a pass waits for names that are new, ms. */
const FIRST = 2_000;

/** Asks the system's resolver; replaced in tests. */
export type Lookup = (name: string) => Promise<string[]>;

const systemLookup: Lookup = async (name) =>
  (await lookup(name, { all: true })).map(({ address }) => address);

interface Name {
  askedAt: number;
  asking: Promise<void> | undefined;
  /** Address and when it was told last. */
  addresses: Map<string, number>;
}

/** See the top of the file. */
export class Outside {
  readonly #names = new Map<string, Name>();
  readonly #lookup: Lookup;
  readonly #now: () => number;

  constructor(look: Lookup = systemLookup, now: () => number = () => performance.now()) {
    this.#lookup = look;
    this.#now = now;
  }

  /** All addresses of these servers that are known; waits a moment for names that are new. */
  async addressesOf(servers: readonly UnderlayServer[]): Promise<string[]> {
    const found = new Set<string>(), fresh: Promise<void>[] = [], wanted = new Set<string>();
    for (const server of servers) {
      const literal = address(server.address ?? "") ?? address(server.host.replace(/^\[|\]$/g, ""));
      if (literal !== undefined) found.add(literal);
      else if (wanted.size < MAX_NAMES && server.host !== "") wanted.add(server.host);
    }
    for (const host of this.#names.keys()) if (!wanted.has(host)) this.#names.delete(host);
    for (const host of wanted) {
      const name = this.#ask(host);
      if (name.addresses.size === 0 && name.asking !== undefined) fresh.push(name.asking);
    }
    if (fresh.length > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, FIRST);
      await Promise.race([Promise.all(fresh), promise]);
      clearTimeout(timer);
    }
    for (const host of wanted) {
      for (const text of this.#names.get(host)?.addresses.keys() ?? []) found.add(text);
    }
    return [...found].sort();
  }

  #ask(host: string): Name {
    const now = this.#now();
    const name = this.#names.get(host) ??
      { askedAt: -Infinity, asking: undefined, addresses: new Map() };
    this.#names.set(host, name);
    if (
      name.asking === undefined && now - name.askedAt >= (name.addresses.size ? REFRESH : FIRST)
    ) {
      name.askedAt = now;
      name.asking = this.#lookup(host).then((texts) => {
        const told = texts.map(address).filter((text) => text !== undefined);
        for (const text of told.slice(0, MAX_ADDRESSES)) name.addresses.set(text, this.#now());
        // A connection may live on at an address that is not told any more.
        for (const [text, at] of name.addresses) {
          const old = this.#now() - at > MEMORY || name.addresses.size > 2 * MAX_ADDRESSES;
          if (old && !told.includes(text)) name.addresses.delete(text);
        }
      }).catch(() => {}).finally(() => {
        name.asking = undefined;
      });
    }
    return name;
  }
}

/** One spelling of an address that rules may name; undefined for anything else. */
function address(text: string): string | undefined {
  const bare = text.split("%")[0]!;
  if (!ipaddr.isValid(bare) || !/[.:].*[.:]/.test(bare)) return undefined;
  const parsed = ipaddr.process(bare);
  return ["loopback", "unspecified"].includes(parsed.range()) ? undefined : parsed.toString();
}

/** The host's name servers. */
export interface Resolvers {
  /** On the Internet: no network behind a peer may take them. */
  global: string[];
  /** With addresses for private use: a network behind a peer may have them on purpose. */
  local: string[];
}

/** Reads the name servers from resolver files; systemd's own file has those behind its stub. */
export async function readResolvers(
  paths: readonly string[] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"],
): Promise<Resolvers> {
  const found = new Set<string>();
  for (const path of paths) {
    const text = await Deno.readTextFile(path).catch(() => "");
    for (const [, server] of text.slice(0, 65_536).matchAll(/^nameserver[ \t]+(\S+)/gm)) {
      const one = address(server!);
      if (one !== undefined && found.size < MAX_RESOLVERS) found.add(one);
    }
  }
  const isLocal = (text: string) =>
    ["private", "uniqueLocal", "carrierGradeNat", "linkLocal"].includes(
      ipaddr.parse(text).range(),
    );
  const all = [...found].sort();
  return { global: all.filter((one) => !isLocal(one)), local: all.filter(isLocal) };
}
