import { getLogger } from "@logtape/logtape";
import { GuestHttp } from "../relay/http/mod.ts";
import type { Bootstrap } from "./bootstrap.ts";
import { ControlError } from "./errors.ts";
import type { Proxies } from "./http/mod.ts";
import { type ControlService, openControl, type ServiceConfig } from "./service.ts";
import type { Store } from "./store/mod.ts";

/** A proxy comes with the connections of all of its clients. */
const BEHIND_PROXIES = { perAddress: { unfinished: 8192, total: Infinity } };

const log = getLogger(["nexd", "control"]);

/** What a control plane is started with. */
export interface ControlConfig extends Omit<ServiceConfig, "port"> {
  /** Where to listen; an empty hostname is every address, port 0 any free one. */
  addr: { hostname: string; port: number };
  /** Proxies that say who asks; none: every connection speaks for itself. */
  proxies?: Proxies;
  /** Where clients connect, if that is not `addr`'s port. */
  publicPort?: number | undefined;
  /** PEM chain and key for `hostname`, and for `api.` and `auth.` before it; `caPath` names a private CA's file. */
  certificate: () => Promise<{ cert: string; key: string; caPath?: string }>;
}

/** A control plane that runs. */
export interface Control extends Bootstrap {
  /** What agents are given: `https://HOST` with the port unless it is 443. */
  serviceUrl: string;
  /** Where the API really listens. */
  address: Deno.NetAddr;
  /** File of the private CA that the certificate comes from. */
  caPath?: string;
  store: Store;
  /** Open event streams. */
  streams(): number;
  /** Cuts off the streams, stops listening and closes the database. */
  close(): Promise<void>;
}

/**
 * Starts a control plane. Throws a ControlError for what the user can put right: address in use, no
 * permission, state directory, database, certificate.
 */
export async function startControl(config: ControlConfig): Promise<Control> {
  let port = config.publicPort ?? config.addr.port;
  const service = await openControl({ ...config, port: () => port });
  let server: ReturnType<typeof listen> | undefined;
  const close = async () => {
    await server?.close();
    await service.close();
  };
  try {
    const certificate = await config.certificate();
    server = listen(config, certificate, service);
    port = config.publicPort ?? server.address.port;
    const first = await service.bootstrap();
    log.info("listening on {hostname} port {port}", { ...server.address });
    return {
      ...first,
      serviceUrl: service.serviceUrl(),
      address: server.address,
      ...(certificate.caPath === undefined ? {} : { caPath: certificate.caPath }),
      store: service.store,
      streams: () => service.streams(),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function listen(
  config: ControlConfig,
  certificate: { cert: string; key: string },
  service: ControlService,
): { address: Deno.NetAddr; close(): Promise<void> } {
  const serve = (hostname: string) =>
    Deno.listenTls({
      hostname,
      port: config.addr.port,
      cert: certificate.cert,
      key: certificate.key,
      alpnProtocols: ["http/1.1"],
    });
  let listener: Deno.TlsListener;
  try {
    listener = bind(config.addr.hostname, serve);
  } catch (error) {
    throw listenError(config, error);
  }
  const { proxies } = config;
  const http = new GuestHttp(listener, {
    async fetch(request, client) {
      const { remoteAddress, remotePort: port } = client;
      const hostname = proxies?.client(request, remoteAddress) ?? remoteAddress;
      if (proxies?.has(remoteAddress)) client.known();
      const response = await service.fetch(request, { transport: "tcp", hostname, port });
      // All under /api/ takes credentials: who is answered there is no stranger.
      if (response.ok && new URL(request.url).pathname.startsWith("/api/")) client.known();
      return response;
    },
  }, proxies?.any ? { gate: BEHIND_PROXIES } : {});
  return {
    address: listener.addr as Deno.NetAddr,
    async close() {
      await service.finish();
      await http.close();
    },
  };
}

/** Every address: IPv6 and IPv4 on one socket, or IPv4 alone where there is no IPv6. */
function bind<T>(hostname: string, serve: (hostname: string) => T): T {
  if (hostname !== "") return serve(hostname);
  try {
    return serve("::");
  } catch (error) {
    if (
      error instanceof Deno.errors.AddrInUse || error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.InvalidData
    ) throw error;
    return serve("0.0.0.0");
  }
}

function listenError({ addr }: ControlConfig, error: unknown): ControlError {
  const host = addr.hostname.includes(":") ? `[${addr.hostname}]` : addr.hostname;
  const because = (reason: string) =>
    new ControlError(`Cannot listen on ${host}:${addr.port}: ${reason}`, { cause: error });
  if (error instanceof Deno.errors.AddrInUse) {
    return because("the port is in use; stop the other server or choose another --addr");
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return because("no permission; run as root, or choose an --addr with a port above 1023");
  }
  if (error instanceof Deno.errors.NotCapable) {
    return because("the runtime may not; start it with --allow-net");
  }
  if (error instanceof Deno.errors.InvalidData) {
    return because("certificate or key unusable; check the files in --certdir");
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return because("this host has no such address; choose another --addr");
  }
  return because(
    "the name has no address; give --addr an IP address of this host, or :PORT for all",
  );
}
