/**
 * This host as a device of its VPC: what the control plane said last, and who that makes us.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Device } from "../../control/api/types.ts";
import { WatchCache } from "../api/mod.ts";
import type { CachedVpc, NatFacts } from "../onboarding/mod.ts";
import { describeSelf, interfaceAddresses, type Self } from "../peering/mod.ts";
import type { AgentConfig } from "./config.ts";
import type { Outside } from "./outside/mod.ts";

const log = getLogger(["nexd", "agent"]);

/** The own device and its VPC. */
type Place = Pick<CachedVpc, "device" | "vpc">;

/** See the top of the file. */
export class Membership {
  readonly #config: Pick<AgentConfig, "relayOnly" | "mode">;
  readonly #facts: () => Outside["facts"];
  /** base64; known once the state has been read. */
  publicKey = "";
  #self: Self | undefined;
  #place: Place | undefined;
  #cache: WatchCache | undefined;

  /** @param facts where this host is, by now */
  constructor(
    config: Pick<AgentConfig, "relayOnly" | "mode">,
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
    this.#cache = new WatchCache(vpc.id, seed);
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

  #rows(): Pick<CachedVpc, "devices" | "securityGroups" | "metadata"> {
    return {
      devices: this.#cache?.devices() ?? [],
      securityGroups: this.#cache?.securityGroups() ?? [],
      metadata: this.#cache?.metadata() ?? [],
    };
  }
}
