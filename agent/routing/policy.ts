/**
 * The rules and tables of one interface. Networks behind peers are routed in tables of their own,
 * which packets come to by rules in this order:
 *
 * 1. the agent's own packets, and what goes to the addresses that must be reached outside, skip all
 *    that follows: for them nothing has changed;
 * 2. whatever the host itself has a route for, but for its default route, goes there: a network that
 *    a peer advertises can never take the host's own from it;
 * 3. networks behind peers;
 * 4. everything else, when there is an exit node; not link-local and multicast addresses, nor name
 *    servers.
 *
 * @module
 */
import { AgentError } from "../errors.ts";
import { UNDERLAY_MARK, UNDERLAY_MASK } from "../host/mod.ts";
import { batch, type Family, hasFamily, routesIn, rulesBetween } from "./ip.ts";

/** Priority and table of the first interface's first rule; each interface has ten of both. */
const BASE = 29_000, STEP = 10;
/** Most addresses that rules except from the tunnel. */
const MAX_OUTSIDE = 256;
/** How often what was set is compared with what is there, ms: routes, which go with the interface, and rules. */
const LOOK_AT_ROUTES = 4_000, LOOK_AT_RULES = 30_000;

/** What is to be routed through the interface. */
export interface Want {
  /** Networks behind peers, canonical. */
  networks: readonly string[];
  /** `0.0.0.0/0`, `::/0`: those that go to an exit node. */
  defaults: readonly string[];
  /** Addresses always reached outside. */
  outside: readonly string[];
  /** Addresses that an exit node does not get. */
  notByExit: readonly string[];
  /** Only packets that came out of the tunnel go to the exit node: this host relays for others. */
  onlyForwarded: boolean;
}

const FAMILIES: readonly Family[] = [4, 6];
const familyOf = (text: string): Family => text.includes(":") ? 6 : 4;
/** Never an exit node's: the link with the metadata services of clouds, multicast, broadcast. */
const NEVER_BY_EXIT = ["169.254.0.0/16", "224.0.0.0/3", "fe80::/10", "ff00::/8"];
const hex = (n: number) => `0x${n.toString(16)}`;

/** Rules as `ip rule` takes them, in the order in which they are added. Pure. */
export function rulesOf(want: Want, family: Family, slot: number, name: string): string[] {
  const ours = (texts: readonly string[]) => texts.filter((text) => familyOf(text) === family);
  const networks = ours(want.networks), defaults = ours(want.defaults);
  if (networks.length + defaults.length === 0) return [];
  const at = BASE + STEP * slot, end = at + STEP - 1;
  const skip = (priority: number, selector: string) => `pref ${priority} ${selector} goto ${end}`;
  const outside = ours(want.outside).slice(0, MAX_OUTSIDE);
  return [
    `pref ${end} nop`,
    skip(at, `fwmark ${hex(UNDERLAY_MARK)}/${hex(UNDERLAY_MASK)}`),
    ...outside.map((address) => skip(at, `to ${address}`)),
    `pref ${at + 1} lookup main suppress_prefixlength 0`,
    ...(networks.length === 0 ? [] : [`pref ${at + 2} lookup ${at}`]),
    ...(defaults.length === 0 ? [] : [
      ...ours([...NEVER_BY_EXIT, ...want.notByExit]).slice(0, MAX_OUTSIDE)
        .map((address) => skip(at + 3, `to ${address}`)),
      `pref ${at + 4} ${want.onlyForwarded ? `iif ${name} ` : ""}lookup ${at + 1}`,
    ]),
  ];
}

/** Routes as `ip route` takes them. Pure. */
export function routesOf(want: Want, family: Family, slot: number, name: string): string[] {
  const at = BASE + STEP * slot;
  const into = (table: number, texts: readonly string[]) =>
    texts.filter((text) => familyOf(text) === family)
      .map((network) => `${network} dev ${name} table ${table}`);
  return [...into(at, want.networks), ...into(at + 1, want.defaults)];
}

/** What one IP version has. */
interface Have {
  rules: string[];
  routes: string[];
  /** Why rules could not be set; no routes then. */
  refused: string | undefined;
  lookedAtRoutes: number;
  lookedAtRules: number;
}

/** See the top of the file. */
export class PolicyRouting {
  readonly #name: string;
  readonly #slot: number;
  readonly #have = new Map<Family, Have>();
  readonly #now: () => number;

  constructor(interfaceName: string, slot: number, now: () => number = () => performance.now()) {
    this.#name = interfaceName;
    this.#slot = slot;
    this.#now = now;
  }

  /**
   * Sets the rules and removes routes that are not wanted any more.
   *
   * @throws {AgentError} when rules cannot be set: nothing is routed then
   */
  async prepare(want: Want): Promise<void> {
    const refused: string[] = [];
    for (const family of FAMILIES) {
      const have = this.#of(family);
      const usable = await hasFamily(family, this.#name);
      const rules = usable ? rulesOf(want, family, this.#slot, this.#name) : [];
      const routes = usable ? routesOf(want, family, this.#slot, this.#name) : [];
      await this.#removeRoutes(family, have.routes.filter((route) => !routes.includes(route)));
      if (rules.length > 0 && this.#now() - have.lookedAtRules > LOOK_AT_RULES) {
        have.lookedAtRules = this.#now();
        const { low, high } = this.#range;
        const there = await rulesBetween(family, low, high);
        if (there.length !== have.rules.length) {
          await this.#clearRules(family);
          have.rules = [];
        }
      }
      const add = rules.filter((rule) => !have.rules.includes(rule));
      const failed = await batch(family, add.map((rule) => `rule add ${rule}`));
      if (failed.length > 0) {
        have.refused = `ip rule ${failed[0]!.line.slice(9)}: ${failed[0]!.reason}`;
        await this.#removeRoutes(family, have.routes);
        await this.#clearRules(family);
        have.rules = [];
        refused.push(have.refused);
        continue;
      }
      have.refused = undefined;
      const remove = have.rules.filter((rule) => !rules.includes(rule)).reverse();
      await batch(family, remove.map((rule) => `rule del ${rule}`));
      have.rules = rules;
    }
    if (refused.length > 0) {
      throw new AgentError(
        `Networks behind peers are not routed: "${refused[0]}"; this needs a kernel with policy ` +
          "routing and iproute2's ip",
      );
    }
  }

  /**
   * Adds the routes.
   *
   * @throws {AgentError} naming the first one that is refused
   */
  async apply(want: Want): Promise<void> {
    const refused: string[] = [];
    for (const family of FAMILIES) {
      const have = this.#of(family);
      if (have.refused !== undefined || have.rules.length === 0) continue;
      const routes = routesOf(want, family, this.#slot, this.#name);
      if (this.#now() - have.lookedAtRoutes > LOOK_AT_ROUTES) {
        have.lookedAtRoutes = this.#now();
        const there = await Promise.all(this.#tables.map((table) => routesIn(family, table)));
        // They went with an interface that was opened again.
        if (there.flat().length !== have.routes.length) have.routes = [];
      }
      const add = routes.filter((route) => !have.routes.includes(route));
      const failed = await batch(family, add.map((route) => `route replace ${route}`));
      const lines = failed.map(({ line }) => line);
      have.routes = routes.filter((route) => !lines.includes(`route replace ${route}`));
      refused.push(...failed.map(({ line, reason }) => `${line.split(" ")[2]}: ${reason}`));
    }
    if (refused.length > 0) throw new AgentError(`Cannot route ${refused[0]}`);
  }

  /** Removes all rules and routes of this interface, known or left by a crashed agent. */
  async clear(): Promise<void> {
    for (const family of FAMILIES) {
      await this.#clearRules(family);
      for (const table of this.#tables) {
        if ((await routesIn(family, table)).length > 0) {
          await batch(family, [`route flush table ${table}`]);
        }
      }
    }
    this.#have.clear();
  }

  get #range(): { low: number; high: number } {
    const low = BASE + STEP * this.#slot;
    return { low, high: low + STEP - 1 };
  }

  get #tables(): number[] {
    const { low } = this.#range;
    return [low, low + 1];
  }

  #of(family: Family): Have {
    const have = this.#have.get(family) ?? {
      rules: [],
      routes: [],
      refused: undefined,
      lookedAtRoutes: -Infinity,
      lookedAtRules: -Infinity,
    };
    this.#have.set(family, have);
    return have;
  }

  async #removeRoutes(family: Family, routes: string[]): Promise<void> {
    const have = this.#of(family);
    await batch(family, routes.map((route) => `route del ${route}`));
    have.routes = have.routes.filter((route) => !routes.includes(route));
  }

  /** What leads into the tunnel first, then the exceptions, and last what they jump to. */
  async #clearRules(family: Family): Promise<void> {
    const { low, high } = this.#range;
    const order = (await rulesBetween(family, low, high)).sort((a, b) => b - a);
    const last = order.filter((priority) => priority === high);
    const lines = [...order.filter((priority) => priority < high), ...last];
    await batch(family, lines.map((priority) => `rule del pref ${priority}`));
  }
}
