/**
 * A whole relay: its workers with DERP over TLS and the HTTP pages, the plain companion, STUN, and
 * the certificate that is kept good.
 */
import { getLogger } from "@logtape/logtape";
import type { AdmissionConfig } from "./admission/mod.ts";
import {
  type AlpnChallenge,
  type Certificate,
  type CertificateSource,
  openMetaCert,
} from "./cert/mod.ts";
import { Companion } from "./companion.ts";
import { generatePrivateKey, keyToHex, publicKeyOf } from "./derp/mod.ts";
import { type AppState, DebugRule, type Guest, relayMetrics } from "./http/mod.ts";
import { RelayError } from "./errors.ts";
import { liveSiblings } from "./mesh/mod.ts";
import { LimitLog, makeRunDir, removeRunDir } from "./ops/mod.ts";
import { DROP_REASONS, type Limits, WIREGUARD_TYPES } from "./server/mod.ts";
import type { RelaySnapshot } from "./state/mod.ts";
import { startStunServer } from "./stun/server.ts";
import {
  isFree,
  listen,
  type ListenAddress,
  type MeshConfig,
  type PagesConfig,
  Pool,
  portInUse,
  type RateLimit,
  type RelayState,
  type ServedCertificate,
  type SocketTimes,
  type WorkerCommand,
  type WorkerConfig,
} from "./worker/mod.ts";

const logger = getLogger(["nexd", "relay"]);

/** A client whose host vanished is noticed by the kernel after this, as the reference relay has it. */
const SOCKET_TIMES: SocketTimes = { userTimeoutMs: 15_000, keepAliveMs: 600_000 };

/** Clients that were told of a restart try for this long, and come back spread over at most that. */
const RESTART_TRY_MS = 10_000;
const RESTART_SMEAR_MS = 2_000;
/** Other relays of the region make a new link when told; they keep the old one, so nothing shows it. */
const RELINK_MS = 500;
/** How often a stopping relay looks whether its clients have gone. */
const DRAIN_LOOK_MS = 50;

/** Answers a CA's challenge on the TLS port, or ends that. */
export type PresentAlpn = (challenge: AlpnChallenge | undefined) => Promise<void>;

/** What to serve where. */
export interface RelayConfig {
  /** Where to listen. An empty hostname is every address; port 0 is any free port. */
  addr: ListenAddress;
  /** Undefined, as is `source`: plain HTTP, for development and tests. */
  certificate?: Certificate | undefined;
  /** Keeps a certificate good, instead of the one certificate. Its owner closes it. */
  source?: CertificateSource | undefined;
  /** Gets the source its first certificate; port 80 answers challenges while this runs. */
  ready?: (() => Promise<void>) | undefined;
  /** Told how the source has a challenge answered on the TLS port (TLS-ALPN-01). */
  presenter?: ((present: PresentAlpn) => void) | undefined;
  /** The relay's identity. Undefined: a throw-away one. */
  privateKey?: Uint8Array | undefined;
  /** Port of the plain companion. Undefined: none. */
  httpPort?: number | undefined;
  /** Port of the STUN server. Undefined: none. */
  stunPort?: number | undefined;
  /** Overrides of the time and size limits. */
  limits?: Partial<Limits> | undefined;
  version?: string | undefined;
  /** The name that clients dial, for the pages. */
  hostname?: string | undefined;
  /** Worker processes and how to start one. Undefined: everything in this process. */
  workers?: { count: number; command: WorkerCommand } | undefined;
  /**
   * Where workers and a replacement find each other: below this directory, or the usual one.
   * Undefined: the relay has no siblings.
   */
  runDir?: { base: string | undefined } | undefined;
  times?: SocketTimes | undefined;
  /** New connections a second and at once, over all workers. */
  acceptLimit?: { perSecond: number; burst: number } | undefined;
  /** Connections of one address, 0 for no limit. */
  perAddress?: number | undefined;
  /** False: pages and probes only. */
  derp?: boolean | undefined;
  admission?: AdmissionConfig | undefined;
  rate?: RateLimit | undefined;
  mesh?: MeshConfig | undefined;
  pages?: Partial<Omit<PagesConfig, "version" | "hostname">> | undefined;
  /** Another application on the TLS port. It lives in this process, so there are no `workers`. */
  guest?: Guest | undefined;
}

/** A running relay. */
export interface Relay {
  readonly address: ListenAddress;
  readonly httpPort: number | undefined;
  readonly stunPort: number | undefined;
  /** The relay's DERP public key, 64 hex digits. */
  readonly publicKey: string;
  /** PEM of the private CA that signed the certificate, when there is one. */
  readonly ca: string | undefined;
  /** Whether a predecessor on the same port was running when this one started. */
  readonly replaces: boolean;
  /** Rejects when no worker can be kept running. Never settles otherwise. */
  readonly failed: Promise<never>;
  /**
   * Counters by the names of the metrics page, without label syntax: drops as `dropped.<reason>`.
   * Of a relay in this one process.
   */
  metrics(): Record<string, number>;
  /** Counters and gauges of all workers. */
  snapshot(): Promise<RelaySnapshot>;
  /** True when there is a worker that answers. */
  answers(): Promise<boolean>;
  /** Admits just these public keys, 64 hex digits each; with `admission.keys`. */
  setKeys(hex: string[]): Promise<void>;
  setRate(rate: RateLimit | undefined): Promise<void>;
  /** Reads certificate, allow-list and the like again. */
  reload(): Promise<void>;
  /**
   * Ends gently: no new connections, clients are told to reconnect, and what they still send goes on
   * until they have gone or `drainMs` is over.
   */
  restart(drainMs: number): Promise<void>;
  /** Tells clients, drains shortly, and ends everything. */
  close(): Promise<void>;
}

/**
 * Starts a relay.
 *
 * @throws RelayError, CertificateError or StunServerError for what cannot be used; nothing is left
 * open then
 */
export async function startRelay(config: RelayConfig): Promise<Relay> {
  const open: (() => unknown)[] = [];
  const closeAll = async () => {
    for (const close of open.splice(0).reverse()) await close();
  };
  try {
    return await build(config, open, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function build(
  config: RelayConfig,
  open: (() => unknown)[],
  closeAll: () => Promise<void>,
): Promise<Relay> {
  const { addr, source, workers, runDir } = config;
  if (config.guest !== undefined && workers !== undefined) {
    throw new RelayError("Cannot share the relay's port between processes: give --workers 1", 2);
  }
  const privateKey = config.privateKey ?? generatePrivateKey();
  const publicKey = publicKeyOf(privateKey);
  const meet = runDir === undefined ? undefined : async (port: number) => {
    const path = await makeRunDir({ base: runDir.base, publicKey: keyToHex(publicKey), port });
    open.unshift(() => removeRunDir(path));
    return path;
  };
  // A port in use is fine when it is a relay of the same key that has it: we replace that one.
  const replaces = !isFree(addr);
  if (replaces && (meet === undefined || !(await livesIn(await meet(addr.port))))) {
    throw portInUse(addr, "--addr");
  }

  const later: { pool?: Pool } = {};
  const state = async (): Promise<RelayState> => {
    if (later.pool !== undefined) return await later.pool.state();
    throw new Error("the relay is starting");
  };
  const stun = config.stunPort === undefined ? undefined : await startStunServer({
    hostname: addr.hostname,
    port: config.stunPort,
    takeOver: replaces,
  });
  if (stun !== undefined) open.push(() => stun.close());
  let companion: Companion | undefined;
  if (config.httpPort !== undefined) {
    const where = { hostname: addr.hostname, port: config.httpPort };
    companion = new Companion(where, companionState(config, state, () => later.pool), replaces);
    open.push(() => companion?.close());
  }

  config.presenter?.(presentOn(config, () => later.pool));
  await config.ready?.();
  const served = () => source?.current ?? config.certificate;
  const meta = served() === undefined ? undefined : await openMetaCert(publicKey);
  if (meta !== undefined) open.push(() => meta.close());
  const chain = (): ServedCertificate | undefined => {
    const certificate = served();
    if (certificate === undefined) return undefined;
    const { cert, key } = certificate;
    return { chain: (cert.endsWith("\n") ? cert : cert + "\n") + meta!.current, key };
  };

  const running = later.pool = await Pool.start({
    count: workers?.count ?? 1,
    command: workers?.command,
    config: workerConfig(config, privateKey, chain()),
    meet,
    state: () => ({ stun: stun?.counters, certificate: source?.status() }),
    guest: config.guest,
  });
  open.push(() => running.end());
  if (meta !== undefined) {
    const roll = () => void running.setCertificate(chain()!);
    meta.onChange = roll;
    if (source !== undefined) source.onChange = () => void meta.refresh().then(roll);
  }
  const limitLog = new LimitLog(() => running.snapshot());
  open.push(() => limitLog.close());

  let closing: Promise<void> | undefined;
  const close = () => closing ??= closeAll();
  return {
    address: running.address,
    httpPort: companion?.port,
    stunPort: stun?.port,
    publicKey: keyToHex(publicKey),
    ca: served()?.ca,
    replaces,
    failed: running.failed,
    metrics: () => flatMetrics(running),
    snapshot: () => running.snapshot(),
    answers: () => running.answers(),
    setKeys: (hex) => running.setKeys(hex),
    setRate: (rate) => running.setRate(rate),
    async reload() {
      await Promise.all([source?.reload(), running.reload()]);
    },
    async restart(drainMs) {
      // A replacement wants these ports.
      await Promise.all([companion?.close(), stun?.close()]);
      await drain(running, drainMs);
      await close();
    },
    close,
  };
}

/** Before there are workers, the port serves the challenge and nothing else. */
function presentOn(config: RelayConfig, pool: () => Pool | undefined): PresentAlpn {
  let alone: { close(): void } | undefined;
  return async (challenge) => {
    alone?.close();
    alone = undefined;
    const running = pool();
    if (running !== undefined) return await running.setChallenge(challenge);
    if (challenge === undefined) return;
    const times = config.times ?? SOCKET_TIMES;
    const listener = alone = listen(config.addr, { certificate: undefined, challenge, times });
    // Who comes without a challenge finds nothing yet.
    const refuse = async () => {
      for (;;) (await listener.accept()).close();
    };
    refuse().catch(() => {}); // closed
  };
}

async function livesIn(directory: string): Promise<boolean> {
  return (await liveSiblings(directory)).length > 0;
}

function workerConfig(
  config: RelayConfig,
  privateKey: Uint8Array,
  certificate: ServedCertificate | undefined,
): Omit<WorkerConfig, "name" | "siblings"> {
  const { acceptLimit, perAddress, pages } = config;
  const count = config.workers?.count ?? 1;
  return {
    addr: config.addr,
    privateKey: privateKey.toHex(),
    certificate,
    limits: { ...config.limits },
    times: config.times ?? SOCKET_TIMES,
    acceptLimit: acceptLimit &&
      { perSecond: acceptLimit.perSecond / count, burst: Math.ceil(acceptLimit.burst / count) },
    // The kernel spreads connections by chance, so each worker has some room to spare.
    perAddress: perAddress && count > 1
      ? Math.ceil(perAddress / count + 2 * Math.sqrt(perAddress))
      : perAddress,
    derp: config.derp ?? true,
    admission: config.admission,
    keys: undefined,
    rate: config.rate,
    mesh: config.mesh,
    pages: {
      version: config.version ?? "",
      hostname: config.hostname ?? "",
      home: pages?.home ?? "",
      debugNetworks: pages?.debugNetworks ?? [],
      debugKeyFile: pages?.debugKeyFile,
      bootstrapDns: pages?.bootstrapDns ?? { published: [], unpublished: [] },
    },
  };
}

function companionState(
  config: RelayConfig,
  state: () => Promise<RelayState>,
  pool: () => Pool | undefined,
): AppState {
  const { source, pages } = config;
  const version = config.version ?? "";
  let last: RelayState | undefined;
  const snapshot = async () => (last = await state()).snapshot;
  const rest = {
    stun: () => last?.stun,
    certificate: () => source?.status(),
  };
  return {
    version,
    hostname: config.hostname ?? "",
    check: () => pool()?.check() ?? [],
    snapshot,
    metrics: relayMetrics({ snapshot, ...rest, rateLimit: () => pool()?.rate, version }),
    ...rest,
    debug: new DebugRule({
      networks: pages?.debugNetworks ?? [],
      keyFile: pages?.debugKeyFile,
    }),
    home: pages?.home ?? "",
    derp: config.derp ?? true,
    meshKey: config.mesh !== undefined,
    challenge: source && ((token) => source.challenge(token)),
  };
}

async function drain(pool: Pool, drainMs: number): Promise<void> {
  const before = await pool.snapshot();
  const clients = countClients(before);
  const told = await pool.announceRestart({
    reconnectMs: 0,
    // One client a millisecond: a full relay's clients come back as fast as a core logs them in.
    smearMs: Math.min(RESTART_SMEAR_MS, clients),
    tryMs: RESTART_TRY_MS,
  });
  logger.info("Restart announced to {told} clients", { told });
  const began = performance.now();
  const passed = () => performance.now() - began;
  const least = before.clients.some(({ mesh }) => mesh) ? RELINK_MS : 0;
  let now = before;
  while (passed() < drainMs && (passed() < least || countClients(now) > 0)) {
    await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
    now = await pool.snapshot();
  }
  logger.info(
    "Restart done; {left} clients did not leave by themselves; packets dropped: {drops}",
    {
      left: countClients(now),
      drops: dropsBetween(before, now),
    },
  );
}

/** Packets dropped between two states by reason, for a log line. */
function dropsBetween(before: RelaySnapshot, now: RelaySnapshot): string {
  const dropped = DROP_REASONS.flatMap((reason, i) => {
    const sum = ({ dropped }: RelaySnapshot) => dropped[2 * i]! + dropped[2 * i + 1]!;
    const count = sum(now) - sum(before);
    return count > 0 ? [`${count} ${reason}`] : [];
  });
  return dropped.join(", ") || "none";
}

/** Connections but those of other relays, which keep the old link as long as there is one. */
function countClients({ gauges, clients }: RelaySnapshot): number {
  return gauges.connections - clients.filter(({ mesh }) => mesh).length;
}

function flatMetrics(pool: Pool): Record<string, number> {
  const relay = pool.local?.relay;
  if (relay === undefined) throw new Error("the relay's workers are other processes");
  const { counters } = relay;
  const values: Record<string, number> = {};
  for (const [name, value] of Object.entries(counters)) {
    if (typeof value === "number") values[name] = value;
  }
  DROP_REASONS.forEach((reason, i) => {
    values[`dropped.${reason}`] = counters.dropped[2 * i]! + counters.dropped[2 * i + 1]!;
  });
  WIREGUARD_TYPES.forEach((type, i) => values[`wireguard.${type}`] = counters.wireguard[i]!);
  values.dropped = counters.droppedTotal();
  values.clients = relay.registry.keys;
  return values;
}
