/**
 * A whole relay: DERP over TLS, the HTTP pages, the plain companion, STUN.
 */
import { type Certificate, metaCert } from "./cert/mod.ts";
import { generatePrivateKey, keyToHex, publicKeyOf } from "./derp/mod.ts";
import { RelayError } from "./errors.ts";
import { type AppState, companionApp, Front, relayApp, relayMetrics, Splicer } from "./http/mod.ts";
import { newSocketFd, setNoDelayOnListener, setTcpUserTimeout, socketFds } from "./net/mod.ts";
import { DROP_REASONS, type Limits, RelayServer, WIREGUARD_TYPES } from "./server/mod.ts";
import { startStunServer } from "./stun/server.ts";

/** A client whose host vanished is noticed by the kernel after this. */
const TCP_USER_TIMEOUT_MS = 15_000;

/** What to serve where. */
export interface RelayConfig {
  /** Where to listen. An empty hostname is every address; port 0 is any free port. */
  addr: { hostname: string; port: number };
  /** Undefined: plain HTTP, for development and tests. */
  certificate?: Certificate | undefined;
  /** The relay's identity. Undefined: a throw-away one. */
  privateKey?: Uint8Array | undefined;
  /** Port of the plain companion. Undefined: none. */
  httpPort?: number | undefined;
  /** Port of the STUN server. Undefined: none. */
  stunPort?: number | undefined;
  /** Overrides of the time and size limits. */
  limits?: Partial<Limits> | undefined;
  version?: string | undefined;
}

/** A running relay. */
export interface Relay {
  readonly address: { hostname: string; port: number };
  readonly httpPort: number | undefined;
  readonly stunPort: number | undefined;
  /** The relay's DERP public key, 64 hex digits. */
  readonly publicKey: string;
  /** PEM of the private CA that signed the certificate, when there is one. */
  readonly ca: string | undefined;
  /** Counters by the names of the metrics page, without label syntax: drops as `dropped.<reason>`. */
  metrics(): Record<string, number>;
  /** Tells clients, drains shortly, and ends everything. */
  close(): Promise<void>;
}

/**
 * Starts a relay.
 *
 * @throws RelayError or StunServerError when an address cannot be used; nothing is left open then
 */
export async function startRelay(config: RelayConfig): Promise<Relay> {
  const privateKey = config.privateKey ?? generatePrivateKey();
  const publicKey = publicKeyOf(privateKey);
  const { certificate } = config;
  const meta = certificate === undefined ? "" : await metaCert(publicKey);

  const open: (() => void | Promise<void>)[] = [];
  const closeAll = async () => {
    for (const close of open.splice(0).reverse()) await close();
  };
  try {
    const listener = listen(config.addr, certificate, meta);
    open.push(() => tryClose(listener));
    const relay = new RelayServer({ privateKey, publicKey }, config.limits);
    open.push(() => relay.close());
    const stun = config.stunPort === undefined
      ? undefined
      : await startStunServer({ hostname: config.addr.hostname, port: config.stunPort });
    if (stun !== undefined) open.push(() => stun.close());
    const state: AppState = {
      version: config.version ?? "",
      check: () => relay.registry.check(),
      metrics: relayMetrics({
        counters: relay.counters,
        clients: () => ({ keys: relay.registry.keys, duplicates: relay.registry.duplicates }),
        stun: () => stun?.counters,
        version: config.version ?? "",
      }),
    };
    const companion = openCompanion(config, state);
    if (companion !== undefined) open.push(() => companion.shutdown());
    const splicer = new Splicer(relayApp(state), relay.limits, relay.sweep);
    open.push(() => splicer.close());
    const front = new Front(listener, relay, splicer);
    open.push(() => front.stop());

    let closing: Promise<void> | undefined;
    return {
      address: addressOf(listener.addr as Deno.NetAddr),
      httpPort: companion?.addr.port,
      stunPort: stun?.port,
      publicKey: keyToHex(publicKey),
      ca: certificate?.ca,
      metrics: () => snapshot(relay),
      close: () => closing ??= closeAll(),
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function addressOf(addr: Deno.NetAddr): { hostname: string; port: number } {
  return { hostname: addr.hostname, port: addr.port };
}

function tryClose(listener: Deno.Listener): void {
  try {
    listener.close();
  } catch {
    // The front has closed it.
  }
}

function listen(
  addr: { hostname: string; port: number },
  certificate: Certificate | undefined,
  meta: string,
): Deno.Listener {
  const open = (hostname: string): Deno.Listener => {
    const where = { hostname, port: addr.port };
    if (certificate === undefined) return Deno.listen(where);
    const chain = certificate.cert.endsWith("\n") ? certificate.cert : certificate.cert + "\n";
    return Deno.listenTls({
      ...where,
      cert: chain + meta,
      key: certificate.key,
      // Only this: DERP cannot take over a stream of HTTP/2. Clients of DERP offer nothing.
      alpnProtocols: ["http/1.1"],
    });
  };
  const before = socketFds();
  const listener = onEveryAddress(addr, "--addr", open);
  const { port } = listener.addr as Deno.NetAddr;
  const fd = newSocketFd(before, { port });
  if (fd !== undefined) {
    setNoDelayOnListener(fd);
    setTcpUserTimeout(fd, TCP_USER_TIMEOUT_MS);
  }
  return listener;
}

/** Opens something on an address; an empty one is every address of both families where it can be. */
function onEveryAddress<T>(
  addr: { hostname: string; port: number },
  flag: string,
  open: (hostname: string) => T,
): T {
  const hosts = addr.hostname === "" ? ["::", "0.0.0.0"] : [addr.hostname];
  for (const host of hosts) {
    try {
      return open(host);
    } catch (error) {
      const noIpv6 = host === "::" && !(error instanceof Deno.errors.AddrInUse) &&
        !(error instanceof Deno.errors.PermissionDenied);
      if (!noIpv6) throw cannotListen(addr, flag, error);
    }
  }
  throw cannotListen(addr, flag, undefined);
}

function cannotListen(
  addr: { hostname: string; port: number },
  flag: string,
  error: unknown,
): RelayError {
  const host = addr.hostname.includes(":") ? `[${addr.hostname}]` : addr.hostname;
  const what = `Cannot listen on ${host}:${addr.port}`;
  if (error instanceof Deno.errors.AddrInUse) {
    return new RelayError(`${what}: port in use; stop the other server or choose another ${flag}`);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new RelayError(
      `${what}: no permission; run as root for a port below 1024 or choose another ${flag}`,
    );
  }
  if (error instanceof Deno.errors.NotCapable) {
    return new RelayError(`${what}: the runtime may not; start it with --allow-net`);
  }
  if (error instanceof Deno.errors.InvalidData) {
    return new RelayError(`${what}: certificate or key unusable; check the files in --certdir`);
  }
  const reason = error === undefined || error instanceof Deno.errors.AddrNotAvailable
    ? "this host has no such address"
    : "the name has no address";
  return new RelayError(`${what}: ${reason}; choose another ${flag}`);
}

function openCompanion(
  config: RelayConfig,
  state: AppState,
): Deno.HttpServer<Deno.NetAddr> | undefined {
  if (config.httpPort === undefined) return undefined;
  const app = companionApp(state);
  const addr = { hostname: config.addr.hostname, port: config.httpPort };
  return onEveryAddress(
    addr,
    "--http-port (-1 for none)",
    (hostname) =>
      Deno.serve(
        { hostname, port: addr.port, onListen: () => {} },
        (request, info) =>
          app.fetch(request, { remoteAddress: (info.remoteAddr as Deno.NetAddr).hostname }),
      ),
  );
}

function snapshot(relay: RelayServer): Record<string, number> {
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
