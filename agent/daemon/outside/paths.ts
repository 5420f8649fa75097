/**
 * Probes of the paths to peers, between the planner and the network.
 *
 * @module
 */
import { judgeEndpoint, type PeerPlan, type Probed, rangesOf } from "../../peering/mod.ts";
import type { PathProberOptions } from "../../netcheck/mod.ts";
import type { Doors, PathProbing } from "../doors.ts";

/** News within this time are one, ms: each makes a pass over all peers. */
const NEWS_PAUSE = 200;

/** What it needs. */
export interface PathsParts extends Omit<PathProberOptions, "acceptable"> {
  door: Doors["pathProber"];
  /** Ranges of the VPC, CIDR. */
  tunnelRanges(): string[];
  /** Endpoints of this host. */
  ownEndpoints(): string[];
}

/** See the top of the file. */
export class Paths {
  readonly #prober: PathProbing | undefined;
  readonly #parts: PathsParts;
  /** What peers are told of this host, by public key. */
  #words: ReadonlyMap<string, number> = new Map();
  #newsAt = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: PathsParts) {
    this.#parts = parts;
    this.#prober = parts.door?.({
      ...parts,
      acceptable: (endpoint) =>
        "ip" in judgeEndpoint(endpoint, rangesOf(parts.tunnelRanges()), parts.ownEndpoints()),
      onNews: () => this.#news(),
    });
  }

  /** Why there are no probes; undefined: there are. */
  get refused(): string | undefined {
    return this.#prober === undefined ? "not here" : this.#prober.refused;
  }

  /** What is to be asked now. */
  follow(plans: readonly PeerPlan[]): void {
    this.#prober?.follow(plans.map(({ peer: { publicKey }, probes }) => {
      const { search, watch, relay, alone, busy, ask } = probes;
      const tell = this.#words.get(publicKey);
      return {
        publicKey,
        search,
        busy,
        ...(watch === undefined ? {} : { watch }),
        ...(relay === undefined ? {} : { relay }),
        ...(alone === undefined ? {} : { alone }),
        ...(ask === undefined ? {} : { ask }),
        ...(tell === undefined ? {} : { tell }),
      };
    }));
  }

  /** Plans have been carried out: what they say of this host is so now, and told. */
  carriedOut(plans: readonly PeerPlan[]): void {
    let news = false;
    const words = new Map<string, number>();
    for (const { peer: { publicKey }, probes } of plans) {
      if (probes.tell !== undefined) words.set(publicKey, probes.tell);
      news ||= probes.tell !== this.#words.get(publicKey);
    }
    this.#words = words;
    if (news) this.follow(plans);
  }

  /** What has been found out of those peers that know probes. */
  probed(publicKeys: Iterable<string>): Map<string, Probed> {
    const all = new Map<string, Probed>();
    for (const key of publicKeys) {
      const probed = this.#prober?.probed(key);
      if (probed !== undefined) all.set(key, probed);
    }
    return all;
  }

  /** This host is in another network. */
  moved(): void {
    this.#prober?.moved();
  }

  /** Probes until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#prober?.run(signal);
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #news(): void {
    if (this.#timer !== undefined) return;
    const now = performance.now();
    const pause = Math.max(0, this.#newsAt + NEWS_PAUSE - now);
    this.#newsAt = now + pause;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#parts.onNews();
    }, pause);
  }
}
