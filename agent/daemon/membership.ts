/**
 * This host as a device of its VPC: what the control plane said last, and who that makes us.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Device } from "../../control/api/types.ts";
import { type Api, learnRelayRegions, WatchCache } from "../api/mod.ts";
import type { CachedVpc, NatFacts } from "../onboarding/mod.ts";
import {
  chooseRelays,
  describeSelf,
  interfaceAddresses,
  type PublicRelay,
  publicRelaysOf,
  type RelayTarget,
  type Self,
} from "../peering/mod.ts";
import type { AgentConfig } from "./config.ts";
import type { Outside } from "./outside/mod.ts";

const log = getLogger(["nexd", "agent"]);

/** The own device and its VPC. */
type Place = Pick<CachedVpc, "device" | "vpc">;

type Settings = Pick<
  AgentConfig,
  "relayOnly" | "mode" | "publicRelay" | "fixedRelay" | "relayPort"
>;

/** How long a first start waits for the list of public relays, ms. */
const RELAYS_WAIT = 5_000;

/** See the top of the file. */
export class Membership {
  readonly #config: Settings;
  readonly #facts: () => Outside["facts"];
  /** base64; known once the state has been read. */
  publicKey = "";
  #self: Self | undefined;
  #place: Place | undefined;
  #cache: WatchCache | undefined;
  /** The public relays, as of rows of which this text tells. */
  #relays: { of: string; list: [PublicRelay, ...PublicRelay[]] } | undefined;

  /** @param facts where this host is, by now */
  constructor(
    config: Settings,
    facts: () => Outside["facts"],
  ) {
    this.#config = config;
    this.#facts = facts;
  }

  /** This host as the planner knows it; undefined before there is a registration. */
  get self(): Self | undefined {
    return this.#self;
  }

  /** The own device and its VPC; undefined before there is a registration. */
  get place(): Place | undefined {
    return this.#place;
  }

  /** The VPC's other rows; undefined before there is a registration. */
  get cache(): WatchCache | undefined {
    return this.#cache;
  }

  /** The own device as the stream tells of it. */
  get own(): Device | undefined {
    return this.#place && this.#cache?.device(this.#place.device.id);
  }

  /** Ranges of the VPC, CIDR. */
  get ranges(): string[] {
    return this.#place === undefined ? [] : [this.#place.vpc.ipv4_cidr, this.#place.vpc.ipv6_cidr];
  }

  /** The public relays to use, the best first. */
  get publicRelays(): [PublicRelay, ...PublicRelay[]] {
    const { publicRelay, fixedRelay } = this.#config;
    if (fixedRelay) return [publicRelay];
    const rows = this.#cache?.relayRegions() ?? [];
    // Asked for at each pass; a CA takes a while to judge.
    const of = rows.map(({ id, revision }) => `${id} ${revision}`).join();
    if (this.#relays?.of !== of) this.#relays = { of, list: publicRelaysOf(rows, publicRelay) };
    return this.#relays.list;
  }

  /** The relays to begin with, before the whole VPC is known; never empty. */
  firstRelays(): RelayTarget[] {
    const { publicRelays } = this;
    return chooseRelays({
      devices: this.#cache?.devices() ?? [],
      metadata: this.#cache?.metadata() ?? [],
      metadataComplete: false,
      publicRelays,
      defaultPort: this.#config.relayPort,
    }).relays ?? [{ region: 900, ...publicRelays[0] }];
  }

  /** Asks for the public relays, for a moment, where they are not known; never throws. */
  async learnRelays(api: Pick<Api, "listRelayRegions">, token: string): Promise<void> {
    const signal = AbortSignal.timeout(RELAYS_WAIT);
    if (this.#cache) await learnRelayRegions(api, token, this.#cache, signal);
  }

  /**
   * Takes over what a registration said, or what was kept of the last one.
   *
   * @param kept rows to begin with; those of the same VPC stay without them
   * @returns true when the interface needs other addresses than before
   */
  adopt({ device, vpc }: Place, kept?: Partial<CachedVpc>): boolean {
    const before = this.#self;
    const seed = kept ?? (this.#place?.vpc.id === vpc.id ? this.#rows() : {});
    this.#place = { device, vpc };
    for (const note of this.describe()) log.warn("not used: {note}", { note });
    this.#cache = new WatchCache(vpc.id, seed, undefined, !this.#config.fixedRelay);
    return before !== undefined &&
      interfaceAddresses(before).join() !== interfaceAddresses(this.#self!).join();
  }

  /** Works out anew who we are; returns what was left out, and why. */
  describe(): string[] {
    if (this.#place === undefined) return [];
    const { self, notes } = describeSelf(this.#place.device, this.#place.vpc, {
      publicKey: this.publicKey,
      relayOnly: this.#config.relayOnly,
      relay: this.#config.mode === "relay",
      ...this.#facts(),
    });
    this.#self = self;
    return notes;
  }

  /** What a restart begins with; `met`: where a relay met its peers. */
  memory(nat: NatFacts, met?: CachedVpc["met"]): CachedVpc | undefined {
    if (this.#place === undefined) return undefined;
    return { ...this.#place, ...this.#rows(), nat, ...(met === undefined ? {} : { met }) };
  }

  #rows(): Pick<CachedVpc, "devices" | "securityGroups" | "metadata" | "relayRegions"> {
    return {
      devices: this.#cache?.devices() ?? [],
      securityGroups: this.#cache?.securityGroups() ?? [],
      metadata: this.#cache?.metadata() ?? [],
      relayRegions: this.#cache?.relayRegions() ?? [],
    };
  }
}
