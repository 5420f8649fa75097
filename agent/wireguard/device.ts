/**
 * The device, whatever drives it: from the peers that are wanted to the fewest changes of WireGuard
 * and of the routes.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { publicKeyOf } from "../../relay/derp/mod.ts";
import { AgentError, reasonOf } from "../errors.ts";
import type { Backend, PeerState, TunnelState } from "./backend.ts";
import {
  checkPeers,
  diffPeers,
  drifted,
  keyFromHex,
  type PeerTable,
  routesOf,
  type Skipped,
} from "./plan.ts";
import { within } from "./prefixes.ts";
import type { PeerConfig, PeerStats, WireGuardDevice } from "./types.ts";

const logger = getLogger(["nexd", "agent", "wireguard"]);
const ROUTE_RETRY_MS = 30_000;

/** A device on a backend that is up. */
export class Device implements WireGuardDevice {
  readonly exited: Promise<string>;
  readonly #backend: Backend;
  readonly #ownKey: string;
  /** What was set last; undefined: unknown after a failure, to be read back. */
  #applied: PeerTable | undefined = new Map();
  /** What was asked for last, and the table that became of it. */
  #wish: string | undefined;
  #granted: PeerTable | undefined;
  /** Routes that we added. */
  readonly #routes = new Set<string>();
  /** Routes that could not be added, mostly because the prefix has one elsewhere. */
  readonly #refused = new Map<string, { reason: string; again: number }>();
  /** What was logged as left out, so that it is said once. */
  #said = new Set<string>();
  /** Calls of `setPeers` that are not done. */
  #pending = 0;
  #work: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #dead: string | undefined;

  constructor(backend: Backend, privateKey: Uint8Array) {
    this.#backend = backend;
    this.#ownKey = publicKeyOf(privateKey).toHex();
    this.exited = new Promise((resolve) => {
      backend.exited.then((reason) => {
        this.#dead = reason;
        if (this.#closing === undefined) resolve(reason);
      });
    });
  }

  get name(): string {
    return this.#backend.name;
  }

  get driver(): string {
    return this.#backend.driver;
  }

  get scheduling(): string | undefined {
    return this.#backend.scheduling;
  }

  get listenPort(): number {
    return this.#backend.listenPort;
  }

  setPeers(peers: PeerConfig[]): Promise<void> {
    this.#pending++;
    const done = this.#work.then(() => this.#setPeers(peers)).finally(() => this.#pending--);
    this.#work = done.catch(() => {});
    return done;
  }

  async stats(): Promise<PeerStats[]> {
    const before = this.#applied;
    const quiet = this.#pending === 0;
    const { peers } = await this.#read();
    if (quiet && this.#pending === 0 && before !== undefined && before === this.#applied) {
      this.#applied = this.#noticeDrift(before, peers);
    }
    return peers.map((peer) => ({
      publicKey: keyFromHex(peer.publicKey),
      ...(peer.endpoint !== undefined && { endpoint: peer.endpoint }),
      ...(peer.lastHandshake > 0 && { lastHandshake: peer.lastHandshake }),
      rxBytes: peer.rxBytes,
      txBytes: peer.txBytes,
      allowedIps: peer.allowedIps,
    }));
  }

  carried(): number | undefined {
    return this.#backend.carried?.();
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    await this.#work;
    await this.#backend.close();
  }

  async #setPeers(peers: PeerConfig[]): Promise<void> {
    // Mostly the same as in the last pass: a thousand peers need not be checked again for that.
    const wish = JSON.stringify(peers);
    if (wish === this.#wish && this.#applied !== undefined && this.#applied === this.#granted) {
      return await this.#setRoutes(routesOf(this.#applied));
    }
    this.#wish = undefined;
    const applied = this.#applied ?? tableOf((await this.#read()).peers);
    const { wanted, skipped } = checkPeers(peers, applied, this.#ownKey);
    this.#say(skipped);
    const changes = diffPeers(applied, wanted);
    if (changes.length > 0) {
      this.#applied = undefined;
      await this.#request(() => this.#backend.apply(changes));
    }
    this.#applied = this.#granted = wanted;
    this.#wish = wish;
    // New routes come after the peers that carry them, old ones go after new ones stand.
    await this.#setRoutes(routesOf(wanted));
  }

  async #setRoutes(wanted: Set<string>): Promise<void> {
    const now = Date.now();
    for (const prefix of this.#refused.keys()) {
      if (!wanted.has(prefix)) this.#refused.delete(prefix);
    }
    const networks = await this.#backend.neighbours();
    const blocked = (prefix: string) => networks.find(({ cidr }) => within(prefix, cidr));
    const add: string[] = [], remove: string[] = [];
    for (const prefix of this.#routes) {
      if (!wanted.has(prefix) || (networks.length > 0 && blocked(prefix))) remove.push(prefix);
    }
    for (const prefix of wanted) {
      if (this.#routes.has(prefix) && !remove.includes(prefix)) continue;
      if (!this.#backend.ipv6 && prefix.includes(":")) continue;
      if ((this.#refused.get(prefix)?.again ?? 0) > now) continue;
      const network = blocked(prefix);
      if (network === undefined) add.push(prefix);
      else {
        const { cidr, interfaceName } = network;
        // Looked at in every pass: it costs nothing, and the host may leave that network.
        this.#refuse(prefix, `this host's ${interfaceName} is in ${cidr}`, 0);
      }
    }
    if (add.length + remove.length === 0) return;
    for (const prefix of remove) this.#routes.delete(prefix);
    const reasons = await this.#backend.changeRoutes(add, remove);
    for (const prefix of add) {
      const reason = reasons.get(prefix);
      if (reason === undefined) {
        this.#routes.add(prefix);
        this.#refused.delete(prefix);
      } else this.#refuse(prefix, reason, now + ROUTE_RETRY_MS);
    }
  }

  #refuse(prefix: string, reason: string, again: number): void {
    if (this.#refused.get(prefix)?.reason !== reason) {
      logger.warn("Route {prefix} on {name} left out: {reason}", {
        prefix,
        name: this.name,
        reason,
      });
    }
    this.#refused.set(prefix, { reason, again });
  }

  /** When somebody else changed the peers, what the next `setPeers` must start from. */
  #noticeDrift(applied: PeerTable, peers: PeerState[]): PeerTable {
    const seen = tableOf(peers);
    if (!drifted(applied, seen)) return applied;
    logger.warn("The peers of {name} were changed by others; setting them again", {
      name: this.name,
    });
    // An endpoint that followed its peer is not a change.
    for (const [key, peer] of seen) {
      const set = applied.get(key);
      if (set === undefined) continue;
      delete peer.endpoint;
      if (set.endpoint !== undefined) peer.endpoint = set.endpoint;
    }
    return seen;
  }

  #read(): Promise<TunnelState> {
    return this.#request(() => this.#backend.read());
  }

  async #request<T>(action: () => Promise<T>): Promise<T> {
    if (this.#closing) throw new AgentError(`Interface ${this.name} is closed`);
    try {
      return await action();
    } catch (error) {
      const reason = this.#dead ?? reasonOf(error);
      throw new AgentError(`Cannot talk to WireGuard interface ${this.name}: ${reason}`, {
        cause: error,
      });
    }
  }

  #say(skipped: Skipped[]): void {
    const now = new Set<string>();
    for (const { subject, reason } of skipped) {
      const text = `${subject}: ${reason}`;
      now.add(text);
      if (!this.#said.has(text)) {
        logger.warn("Left out on {name}: {text}", { name: this.name, text });
      }
    }
    this.#said = now;
  }
}

/** What a device has, in the form of what is set. */
function tableOf(peers: PeerState[]): PeerTable {
  return new Map(peers.map((peer) => [peer.publicKey, {
    ...(peer.endpoint !== undefined && { endpoint: peer.endpoint }),
    keepaliveSeconds: peer.keepaliveSeconds,
    allowedIps: [...peer.allowedIps].sort(),
  }]));
}
