/**
 * Networks behind peers: which of those that devices advertise are routed to them. A route takes
 * addresses from this host, so little is taken on trust.
 *
 * @module
 */
import { contains, parseAddress, parsePrefix, type Prefix, RESERVED, WIDEST } from "./addresses.ts";
import type { Peer } from "../types.ts";

/** Most networks of one peer, and of all. WireGuard's relay peer has to carry all of them at once. */
export const MAX_PEER_NETWORKS = 32, MAX_NETWORKS = 512;

/** What an exit node advertises, by IP version. */
const DEFAULTS: readonly string[] = ["0.0.0.0/0", "::/0"];

/** True for `0.0.0.0/0` and `::/0`. */
export function isDefault(network: string): boolean {
  return DEFAULTS.includes(network);
}

/** The choice of an exit node. */
export interface ExitWish {
  /** Public key of the one in use. */
  current?: string;
  /** Whether a peer was reached at the last pass, by public key. */
  healthy(publicKey: string): boolean;
}

/** What is taken of what one device advertises. */
interface Taken {
  networks: string[];
  /** Those of {@link DEFAULTS} that it offers. */
  exits: string[];
}

/** Judges what devices advertise, one after the other: what the first one has, the next one has not. */
export class Networks {
  readonly #tunnel: readonly Prefix[];
  readonly #holders = new Map<string, string>();
  readonly #offers = new Map<Peer, string[]>();

  /**
   * @param tunnel the VPC's ranges: addresses in them are given by the control plane
   * @param own networks that this host advertises itself
   */
  constructor(tunnel: readonly Prefix[], own: readonly string[] = []) {
    this.#tunnel = tunnel;
    for (const text of own) {
      const prefix = parsePrefix(text);
      if (prefix !== undefined) this.#holders.set(prefix.text, "this host");
    }
  }

  /** What of `texts` may be routed to the device called `name`. Refusals are told to `note`. */
  take(texts: readonly string[], name: string, note: (text: string) => void): Taken {
    const taken: Taken = { networks: [], exits: [] };
    for (const text of texts.slice(0, MAX_PEER_NETWORKS)) {
      const network = canonical(text);
      const refused = network === undefined
        ? "is not a network in canonical form"
        : this.#judge(network, taken);
      if (refused !== undefined) note(`network ${text.slice(0, 49)} ${refused}`);
      else if (isDefault(network!.text)) taken.exits.push(network!.text);
      else {
        taken.networks.push(network!.text);
        this.#holders.set(network!.text, name);
      }
    }
    if (texts.length > MAX_PEER_NETWORKS) {
      note(`advertises ${texts.length} networks: only its first ${MAX_PEER_NETWORKS} are used`);
    }
    return taken;
  }

  #judge(network: Prefix, taken: Taken): string | undefined {
    if (taken.networks.includes(network.text) || taken.exits.includes(network.text)) {
      return "is told twice";
    }
    if (isDefault(network.text)) return undefined;
    const widest = WIDEST[network.address.kind()];
    if (network.bits < widest) return `is wider than /${widest}`;
    const overlaps = (other: Prefix) => contains(other, network) || contains(network, other);
    const reserved = RESERVED.find(overlaps);
    if (reserved !== undefined) return `overlaps ${reserved.text}`;
    const range = this.#tunnel.find(overlaps);
    if (range !== undefined) return `overlaps the VPC's range ${range.text}`;
    const holder = this.#holders.get(network.text);
    if (holder !== undefined) return `is taken: ${holder} has it`;
    return this.#holders.size < MAX_NETWORKS ? undefined : `is one too many for a VPC`;
  }

  /** Remembers which peer offers to be an exit node. */
  offer(peer: Peer, exits: string[]): void {
    if (exits.length === 0) return;
    peer.exitNode = true;
    this.#offers.set(peer, exits);
  }

  /**
   * Gives the chosen exit node everything that has no other route: the one in use as long as it
   * works or no other does, else the first that works by its id; so that nothing flaps.
   */
  chooseExit({ current, healthy }: ExitWish): void {
    const offers = [...this.#offers.keys()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const inUse = offers.find((peer) => peer.publicKey === current);
    const works = offers.find((peer) => healthy(peer.publicKey));
    const chosen = inUse !== undefined && (healthy(inUse.publicKey) || works === undefined)
      ? inUse
      : works ?? offers.find((peer) => peer.online) ?? offers[0];
    if (chosen !== undefined) {
      chosen.networks = [...chosen.networks ?? [], ...this.#offers.get(chosen)!];
    }
  }
}

/** A network as it is written without host bits; undefined for anything else. */
function canonical(text: string): Prefix | undefined {
  if (text.length > 49 || !text.includes("/")) return undefined;
  const prefix = parsePrefix(text);
  const address = parseAddress(text.split("/")[0]!);
  return prefix?.address.toString() === address?.toString() ? prefix : undefined;
}
