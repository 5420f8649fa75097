/**
 * Routing as a room of the host: what a pass plans becomes rules, routes, filters and settings.
 *
 * @module
 */
import { AgentError, reasonOf } from "../errors.ts";
import type { HostFacts, HostRoom } from "../host/mod.ts";
import {
  contains,
  isDefault,
  type NetworkWish,
  parsePrefix,
  type PeerPlan,
  rangesOf,
} from "../peering/mod.ts";
import { runIp } from "../platform/mod.ts";
import { Claims } from "./claims.ts";
import { type Before, forwardOn, interfacesBefore } from "./forwarding.ts";
import { type Forwarding, hasTable, type Networks, runNft, tableText } from "./nft.ts";
import { type Lookup, Outside, readResolvers } from "./outside.ts";
import { PolicyRouting, type Want } from "./policy.ts";

/** How long somebody who switches waits for the pass that does it, ms. */
const SWITCH_LIMIT = 8_000;
/** Most networks that a note names. */
const MAX_NAMED = 4;
/** How often the packet filter's table is looked for, ms. */
const LOOK_AT_FILTER = 10_000;

/** What this host is in its VPC, and what it carries for others. */
export interface RoutingOptions {
  interfaceName: string;
  mode: "agent" | "relay" | "router";
  /** Networks behind this host, canonical. */
  advertiseCidrs?: readonly string[];
  networkRouter?: boolean;
  exitNode?: boolean;
  disableNat?: boolean;
  exitNodeClient?: boolean;
  /** Where claims are kept, and who answers for names; others in tests. */
  runDir?: string;
  lookup?: Lookup;
}

/** A peer that offers to be an exit node. */
export interface ExitNode {
  publicKey: string;
  hostname: string;
  endpoint: string;
  allowedIps: string[];
  keepaliveSeconds: number;
  healthy: boolean;
  /** This host's traffic goes to it. */
  inUse: boolean;
}

/** The room, and what commands ask of it. */
export interface RoutingRoom extends HostRoom {
  /** What this host wants of networks behind peers, for choosing candidates. */
  wish(): NetworkWish;
  /** The VPC's exit nodes as of the last pass. */
  exitNodes(): ExitNode[];
  /**
   * Sends everything to an exit node, or no longer; resolves when it is so.
   *
   * @throws {AgentError} when there is none, when this host is one, or when it cannot be done
   */
  setExitNodeClient(on: boolean): Promise<void>;
  /** Called when a pass should come soon. */
  onChange: () => void;
}

/** Makes the room; it changes nothing on the host before there is something to route. */
export function routing(options: RoutingOptions): RoutingRoom {
  return new Routing(options);
}

const NOTHING: Want = {
  networks: [],
  defaults: [],
  outside: [],
  notByExit: [],
  onlyForwarded: false,
};
const SRC_VALID_MARK = "/proc/sys/net/ipv4/conf/all/src_valid_mark";
const linux = Deno.build.os === "linux";

class Routing implements RoutingRoom {
  readonly name = "routing";
  onChange: () => void = () => {};
  readonly #options: RoutingOptions;
  readonly #claims: Claims;
  readonly #outside: Outside;
  #policy: PolicyRouting | undefined;
  #exitWanted: boolean;
  #plans: readonly PeerPlan[] = [];
  #want: Want = NOTHING;
  /** Text of the packet filter's table as it was set last. */
  #filter: string | undefined;
  /** When the table was last seen. */
  #lookedAt = 0;
  #before: Before | undefined;
  #forwarding = false;
  #marksValid = false;
  /** What went wrong, by part. */
  readonly #trouble = new Map<string, string>();
  #conflicts: string[] = [];
  #conflictsOf = "";
  readonly #waiting = new Set<() => void>();
  #closed = false;

  constructor(options: RoutingOptions) {
    this.#options = options;
    this.#claims = new Claims(options.interfaceName, options.runDir);
    this.#outside = new Outside(options.lookup);
    this.#exitWanted = options.exitNodeClient === true;
  }

  wish(): NetworkWish {
    const own = this.#options.advertiseCidrs ?? [];
    // A relay passes on what its peers send to an exit node, and sends nothing there itself.
    if (!linux || !(this.#exitWanted || this.#options.mode === "relay")) return { own };
    const current = this.#inUse?.peer.publicKey;
    const healthy = new Set(
      this.#plans.filter((plan) => plan.healthy).map(({ peer }) => peer.publicKey),
    );
    return {
      own,
      exit: {
        ...(current === undefined ? {} : { current }),
        healthy: (key) => healthy.has(key),
      },
    };
  }

  exitNodes(): ExitNode[] {
    const inUse = this.#options.mode === "relay" ? undefined : this.#inUse;
    return this.#plans.filter(({ peer }) => peer.exitNode).map((plan) => ({
      publicKey: plan.peer.publicKey,
      hostname: plan.peer.hostname,
      endpoint: plan.endpoint ?? "",
      allowedIps: plan.allowedIps,
      keepaliveSeconds: plan.keepaliveSeconds,
      healthy: plan.healthy,
      inUse: plan === inUse,
    }));
  }

  async setExitNodeClient(on: boolean): Promise<void> {
    if (this.#closed) throw new AgentError("nexd is ending");
    if (on === this.#exitWanted) return;
    if (on) this.#checkExit();
    this.#exitWanted = on;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    const timer = setTimeout(resolve, SWITCH_LIMIT);
    this.onChange();
    await promise;
    clearTimeout(timer);
    const done = this.#waiting.delete(resolve) === false;
    const trouble = [...this.#trouble.values()][0];
    if (trouble !== undefined) throw new AgentError(trouble);
    if (!done) {
      throw new AgentError(
        `The exit node is switched ${
          on ? "on" : "off"
        } with the agent's next pass, which is late; ` +
          "see nexd status",
      );
    }
  }

  #checkExit(): void {
    if (!linux) throw new AgentError("Using an exit node needs Linux");
    if (this.#options.exitNode || this.#options.mode === "relay") {
      throw new AgentError(
        "This host carries packets for others and cannot use an exit node itself",
      );
    }
    if (this.exitNodes().length === 0) {
      throw new AgentError(
        "There is no exit node in the VPC; start one with nexd router --exit-node",
      );
    }
  }

  async repair(): Promise<void> {
    if (!linux) return;
    const slot = await this.#claims.recorded();
    await this.#claims.putBack();
    if (slot === undefined) return;
    await new PolicyRouting(this.#options.interfaceName, slot).clear();
    // Without nft there is no table either.
    await runNft(tableText(this.#options.interfaceName, { checkSources: false, exitInUse: false }))
      .catch(() => {});
    await this.#claims.freeSlot();
  }

  async prepare(facts: HostFacts): Promise<void> {
    if (this.#closed) return;
    this.#plans = facts.plans;
    const want = await this.#wanted(facts);
    this.#want = want;
    if (!linux) return this.#elsewhere(want);
    const needed = want.networks.length + want.defaults.length > 0 || this.#carries;
    if (!needed && this.#policy === undefined) return;
    await this.#part("rules", async () => {
      const slot = await this.#claims.slot();
      if (this.#policy === undefined) {
        const policy = new PolicyRouting(this.#options.interfaceName, slot);
        await policy.clear();
        this.#policy = policy;
      }
      await this.#policy.prepare(want);
    });
    await this.#part("filter", () => this.#setFilter(facts, want));
    await this.#part("settings", () => this.#setKernel(want));
  }

  async apply(): Promise<void> {
    if (this.#closed || !linux) return;
    if (this.#policy !== undefined) {
      await this.#part("routes", () => this.#policy!.apply(this.#want));
      await this.#part("conflicts", () => this.#findConflicts());
    }
    // A pass that began before the switch does not count.
    if ((this.#want.defaults.length > 0) !== this.#exitWanted) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  notes(): readonly string[] {
    const { networks } = this.#want;
    const more = networks.length > MAX_NAMED ? ` and ${networks.length - MAX_NAMED} more` : "";
    const exit = this.#inUse;
    return [
      ...this.#trouble.values(),
      ...this.#conflicts,
      ...(this.#exitWanted && exit === undefined ? ["no exit node is in the VPC yet"] : []),
      ...(exit !== undefined && this.#options.mode !== "relay"
        ? [`everything goes to exit node ${exit.peer.hostname} (${this.#want.defaults.join(", ")})`]
        : []),
      ...(networks.length > 0
        ? [`networks behind peers: ${networks.slice(0, MAX_NAMED).join(", ")}${more}`]
        : []),
      ...(this.#forwarding ? [`forwards packets as the VPC's ${this.#options.mode}`] : []),
    ];
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (!linux) return;
    for (const resolve of this.#waiting) resolve();
    const failures: unknown[] = [];
    const step = (action: () => Promise<void> | undefined) =>
      Promise.resolve(action()).catch((error) => failures.push(error));
    await step(() => this.#policy?.clear());
    // Forwarding ends before the rules that hold it in bounds.
    await step(() => this.#claims.putBack());
    if (this.#filter !== undefined) {
      const none = { checkSources: false, exitInUse: false };
      await step(() => runNft(tableText(this.#options.interfaceName, none)));
    }
    if (failures.length === 0) await step(() => this.#claims.freeSlot());
    if (failures.length > 0) throw failures[0];
  }

  /** This host forwards packets for its VPC. */
  get #carries(): boolean {
    const { mode, networkRouter, exitNode } = this.#options;
    return mode === "relay" || (mode === "router" && (networkRouter || exitNode) === true);
  }

  /** The plan of the exit node that gets this host's (or, on a relay, its peers') traffic. */
  get #inUse(): PeerPlan | undefined {
    return this.#plans.find(({ peer }) => peer.networks?.some(isDefault));
  }

  async #wanted(facts: HostFacts): Promise<Want> {
    const all = facts.plans.filter((plan) => plan.configured).flatMap((plan) =>
      plan.networks ?? []
    );
    const networks = [...new Set(all)].sort();
    if (networks.length === 0) return NOTHING;
    const [addresses, resolvers] = await Promise.all([
      this.#outside.addressesOf([...facts.relays, ...facts.servers]),
      readResolvers(),
    ]);
    return {
      networks: networks.filter((network) => !isDefault(network)),
      defaults: networks.filter(isDefault),
      outside: [...new Set([...addresses, ...resolvers.global])],
      notByExit: resolvers.local,
      onlyForwarded: this.#options.mode === "relay",
    };
  }

  #elsewhere(want: Want): void {
    if (want.networks.length === 0) this.#trouble.delete("system");
    else this.#trouble.set("system", "networks behind peers are routed on Linux only, not here");
  }

  async #setFilter(facts: HostFacts, want: Want): Promise<void> {
    const relay = this.#options.mode === "relay";
    if (this.#carries) this.#before ??= await interfacesBefore(this.#options.interfaceName);
    const text = tableText(this.#options.interfaceName, {
      checkSources: want.networks.length + want.defaults.length > 0 &&
        !(relay && want.defaults.length > 0),
      exitInUse: want.defaults.length > 0 && !relay,
      ...(this.#carries ? { forwarding: this.#forwardingOf(facts, want) } : {}),
    });
    const now = performance.now();
    if (text === this.#filter && now - this.#lookedAt > LOOK_AT_FILTER) {
      this.#lookedAt = now;
      if (!await hasTable(this.#options.interfaceName)) this.#filter = undefined;
    }
    if (text === this.#filter) return;
    await runNft(text);
    this.#filter = text;
    this.#lookedAt = now;
  }

  #forwardingOf(facts: HostFacts, want: Want): Forwarding {
    const { mode, advertiseCidrs = [], networkRouter, exitNode, disableNat } = this.#options;
    const { self } = facts;
    const ranges = rangesOf([self.ipv4Cidr, self.ipv6Cidr]).map(({ text }) => text);
    const own = networkRouter ? advertiseCidrs.filter((network) => !isDefault(network)) : [];
    const inside = [...ranges, ...want.networks, ...(mode === "relay" ? want.defaults : [])];
    return {
      mode: mode === "relay" ? "relay" : "router",
      peers: byFamily(inside),
      own: byFamily(own),
      exitNode: exitNode === true,
      disableNat: disableNat === true,
      before: this.#before ?? { 4: [], 6: [] },
    };
  }

  async #setKernel(want: Want): Promise<void> {
    if (this.#carries && !this.#forwarding && !this.#trouble.has("filter")) {
      await forwardOn(this.#claims);
      this.#forwarding = true;
    }
    // Without it a strict reverse path check takes no account of marks and drops answers to them.
    const valid = want.defaults.length > 0 && this.#options.mode !== "relay";
    if (valid === this.#marksValid) return;
    if (valid) await this.#claims.set(SRC_VALID_MARK, "1");
    else await this.#claims.putBack((path) => path === SRC_VALID_MARK);
    this.#marksValid = valid;
  }

  /** Which networks of peers are not used because this host has a route of its own there. */
  async #findConflicts(): Promise<void> {
    const key = this.#want.networks.join();
    if (key === this.#conflictsOf) return;
    const found: string[] = [];
    for (const family of ["-4", "-6"]) {
      const { code, stdout } = await runIp([family, "route", "show", "table", "main"]);
      if (code !== 0) continue;
      for (const line of stdout.split("\n")) {
        const [to = "", ...rest] = line.split(" ");
        const route = parsePrefix(to), device = rest[rest.indexOf("dev") + 1] ?? "";
        if (route === undefined || device === this.#options.interfaceName) continue;
        for (const text of this.#want.networks) {
          const network = parsePrefix(text)!;
          if (contains(route, network)) {
            found.push(`${text} stays with ${device}: this host has it`);
          } else if (contains(network, route)) {
            found.push(`${route.text} of ${text} stays with ${device}: this host has it`);
          }
        }
      }
    }
    this.#conflictsOf = key;
    this.#conflicts = [...new Set(found)].slice(0, MAX_NAMED);
  }

  /** One part after the other: what fails is told and tried again, and never keeps peers away. */
  async #part(name: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
      this.#trouble.delete(name);
    } catch (error) {
      this.#trouble.set(name, reasonOf(error));
    }
  }
}

function byFamily(networks: readonly string[]): Networks {
  return {
    4: networks.filter((network) => !network.includes(":")),
    6: networks.filter((network) => network.includes(":")),
  };
}
