/**
 * One worker's whole work in one process: the listener, the DERP server, the HTTP pages, admission,
 * mesh and siblings. The process around it may be the supervisor's own or a worker's.
 */
import { Admission } from "../admission/mod.ts";
import type { AlpnChallenge } from "../cert/mod.ts";
import { publicKeyOf } from "../derp/mod.ts";
import {
  type AppState,
  BootstrapDns,
  DebugRule,
  Front,
  type FrontOptions,
  type Guest,
  relayApp,
  relayMetrics,
  Responder,
} from "../http/mod.ts";
import { Mesh, parseMeshWith, Siblings } from "../mesh/mod.ts";
import { socketFds } from "../net/mod.ts";
import { type Limits, RelayServer } from "../server/mod.ts";
import type { RelaySnapshot } from "../state/mod.ts";
import type {
  ListenAddress,
  RateLimit,
  RelayState,
  Restart,
  ServedCertificate,
  WholeRelay,
  Worker,
  WorkerConfig,
} from "./config.ts";
import type { Acceptor } from "./both.ts";
import { listen } from "./listen.ts";

/** A worker of one process. */
export class Station implements Worker {
  readonly name: string;
  readonly address: ListenAddress;
  readonly ended: Promise<string>;
  readonly relay: RelayServer;
  /** What each client may send now. */
  rate: RateLimit | undefined;
  readonly #config: WorkerConfig;
  readonly #front: Front;
  readonly #responder: Responder;
  readonly #open: (() => unknown)[];
  readonly #bootstrapDns: BootstrapDns | undefined;
  readonly #admission: Admission | undefined;
  #certificate: ServedCertificate | undefined;
  #challenge: AlpnChallenge | undefined;
  #siblings: Siblings | undefined;
  #mesh: Mesh | undefined;
  #ended!: (reason: string) => void;
  #ending: Promise<void> | undefined;

  /**
   * Starts a worker.
   *
   * @param whole asks for what the pages show of the whole relay
   * @param guest another application on the port
   * @throws RelayError for what cannot be used; nothing is left open then
   */
  static async start(
    config: WorkerConfig,
    whole: WholeRelay,
    guest?: Guest,
  ): Promise<Station> {
    const open: (() => unknown)[] = [];
    try {
      return await Station.#build(config, whole, guest, open);
    } catch (error) {
      await closeAll(open);
      throw error;
    }
  }

  static async #build(
    config: WorkerConfig,
    whole: WholeRelay,
    guest: Guest | undefined,
    open: (() => unknown)[],
  ): Promise<Station> {
    const privateKey = Uint8Array.fromHex(config.privateKey);
    const identity = { privateKey, publicKey: publicKeyOf(privateKey) };
    const relay = new RelayServer(identity, limitsOf(config));
    open.push(() => relay.close());
    const { keys, rate, mesh } = config;
    if (mesh !== undefined) relay.meshKey = Uint8Array.fromHex(mesh.key);
    relay.setRateLimit(rate);

    let admission: Admission | undefined;
    if (config.admission !== undefined) {
      admission = await Admission.open(config.admission, relay.counters);
      open.push(() => admission?.close());
      if (keys !== undefined) admission.setKeys(keys);
      admission.onRevoked = (key) => void relay.closePeer(key);
      relay.admit = admission.admit;
    }

    const { published, unpublished } = config.pages.bootstrapDns;
    let bootstrapDns: BootstrapDns | undefined;
    if (published.length + unpublished.length > 0) {
      bootstrapDns = BootstrapDns.start({ published, unpublished });
      open.push(() => bootstrapDns?.close());
    }

    // Before the first connection: a packet may be for a client of a sibling.
    let siblings: Siblings | undefined;
    if (config.siblings !== undefined) {
      siblings = await joinSiblings(relay, config.siblings, config.name, open);
    }

    const later: { station?: Station } = {};
    const rateNow = () => later.station?.rate;
    const app = relayApp(appState(config, whole, rateNow, bootstrapDns));
    const responder = new Responder(app, relay.limits, relay.sweep);
    const listener = listen(config.addr, config);
    const front = new Front(asListener(listener), relay, responder, {
      acceptLimit: config.acceptLimit,
      perAddress: perAddressOf(config.perAddress),
      derp: config.derp,
      guest,
    });
    open.push(() => front.stop());

    const station = later.station = new Station(
      config,
      { relay, front, responder, bootstrapDns, admission, siblings },
      addressOf(listener),
      open,
    );
    if (mesh !== undefined && mesh.with.length > 0) {
      const started = Mesh.start(relay, {
        identity,
        meshKey: relay.meshKey!,
        peers: parseMeshWith(mesh.with),
        caCerts: mesh.caCerts,
      });
      station.#mesh = started;
      open.push(() => started.close());
    }
    relay.links = {
      mesh: () => station.#mesh?.links() ?? [],
      siblings: () => station.#siblings?.links() ?? [],
    };
    return station;
  }

  private constructor(
    config: WorkerConfig,
    parts: {
      relay: RelayServer;
      front: Front;
      responder: Responder;
      bootstrapDns: BootstrapDns | undefined;
      admission: Admission | undefined;
      siblings: Siblings | undefined;
    },
    address: ListenAddress,
    open: (() => unknown)[],
  ) {
    this.#config = config;
    this.rate = config.rate;
    this.#certificate = config.certificate;
    this.name = config.name;
    this.address = address;
    this.relay = parts.relay;
    this.#front = parts.front;
    this.#responder = parts.responder;
    this.#bootstrapDns = parts.bootstrapDns;
    this.#admission = parts.admission;
    this.#siblings = parts.siblings;
    this.#open = open;
    this.ended = new Promise((resolve) => this.#ended = resolve);
  }

  async join(directory: string): Promise<void> {
    this.#siblings ??= await joinSiblings(this.relay, directory, this.name, this.#open);
  }

  async setCertificate(certificate: ServedCertificate): Promise<void> {
    this.#certificate = certificate;
    await this.#listenAnew();
  }

  async setChallenge(challenge: AlpnChallenge | undefined): Promise<void> {
    this.#challenge = challenge;
    await this.#listenAnew();
  }

  async #listenAnew(): Promise<void> {
    const listener = listen(this.address, {
      certificate: this.#certificate,
      challenge: this.#challenge,
      times: this.#config.times,
    });
    await this.#front.replaceListener(asListener(listener));
  }

  setKeys(hex: string[]): Promise<void> {
    this.#admission?.setKeys(hex);
    return Promise.resolve();
  }

  setRate(rate: RateLimit | undefined): Promise<void> {
    this.relay.setRateLimit(rate);
    this.#config.rate = rate;
    return Promise.resolve();
  }

  async reload(): Promise<void> {
    await this.#admission?.reload();
  }

  snapshot(): Promise<RelaySnapshot> {
    const snapshot = this.relay.snapshot();
    const dns = this.#bootstrapDns?.counters;
    if (dns !== undefined) Object.assign(snapshot.counters, dns);
    snapshot.gauges.httpStreams = this.#responder.size;
    const sockets = socketFds().size;
    if (sockets > 0) { for (const process of snapshot.processes) process.sockets = sockets; }
    return Promise.resolve(snapshot);
  }

  check(): Promise<string[]> {
    return Promise.resolve(this.relay.registry.check());
  }

  async stopAccepting(): Promise<void> {
    await this.#front.stopAccepting();
  }

  announceRestart(restart: Restart): Promise<number> {
    return Promise.resolve(this.relay.announceRestart(restart));
  }

  end(): Promise<void> {
    return this.#ending ??= closeAll(this.#open).then(() => this.#ended("it was told to"));
  }
}

function limitsOf({ limits }: WorkerConfig): Partial<Limits> {
  return Object.fromEntries(
    Object.entries(limits).map(([name, value]) => [name, value ?? Infinity]),
  );
}

/** Most of an address's connections have logged in: a quarter may be on their way. */
function perAddressOf(total: number | undefined): FrontOptions["perAddress"] {
  if (total === undefined) return undefined;
  if (total === 0) return { unfinished: Infinity, total: Infinity };
  return { unfinished: Math.ceil(total / 4), total };
}

async function joinSiblings(
  relay: RelayServer,
  directory: string,
  name: string,
  open: (() => unknown)[],
): Promise<Siblings> {
  const siblings = await Siblings.join(relay, { directory, name });
  // Ended last: as long as a client is here, packets find their way to the other workers.
  open.unshift(() => siblings.close());
  return siblings;
}

function appState(
  { pages, derp, mesh }: WorkerConfig,
  whole: WholeRelay,
  rateLimit: () => RateLimit | undefined,
  bootstrapDns: BootstrapDns | undefined,
): AppState {
  // The metrics ask for the snapshot first and for the rest then, without waiting in between.
  let last: RelayState | undefined;
  const snapshot = async () => (last = await whole.state()).snapshot;
  return {
    version: pages.version,
    hostname: pages.hostname,
    check: () => whole.check(),
    snapshot,
    metrics: relayMetrics({
      snapshot,
      stun: () => last?.stun,
      certificate: () => last?.certificate,
      rateLimit,
      version: pages.version,
    }),
    certificate: () => last?.certificate,
    stun: () => last?.stun,
    debug: new DebugRule({ networks: pages.debugNetworks, keyFile: pages.debugKeyFile }),
    home: pages.home,
    derp,
    meshKey: mesh !== undefined,
    ...(bootstrapDns === undefined ? {} : { bootstrapDns }),
  };
}

/** The front accepts and closes, and does nothing else with its listeners. */
function asListener(acceptor: Acceptor): Deno.Listener {
  return acceptor as Deno.Listener;
}

function addressOf(listener: Acceptor): ListenAddress {
  const { hostname, port } = listener.addr as Deno.NetAddr;
  return { hostname, port };
}

async function closeAll(open: (() => unknown)[]): Promise<void> {
  for (const close of open.splice(0).reverse()) {
    try {
      await close();
    } catch {
      // The others have to end as well.
    }
  }
}
