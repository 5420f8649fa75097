import { getLogger } from "@logtape/logtape";
import { type ApiDeps, createApp } from "./api/mod.ts";
import { type Bootstrap, bootstrap } from "./bootstrap.ts";
import { ControlError } from "./errors.ts";
import {
  DEFAULT_ONLINE_TIMES,
  DEFAULT_STREAM_LIMITS,
  DEFAULT_STREAM_TIMES,
  Feed,
  type OnlineTimes,
  OnlineTracker,
  StreamEnded,
  type StreamLimits,
  StreamRegistry,
  type StreamTimes,
} from "./events/mod.ts";
import { DEFAULT_HOLD, Holder, type HoldOptions } from "./http/mod.ts";
import { type Issuer, openIssuer } from "./issuer/mod.ts";
import { loadSecret, openStateDir } from "./state_dir.ts";
import { Store } from "./store/mod.ts";

const log = getLogger(["nexd", "control"]);

/** How long a close waits for answers that are under way, in milliseconds. */
const CLOSE_TIMEOUT = 500;

/** What a control plane is started with. */
export interface ControlConfig {
  /** DNS name; the API is at `api.` before it, what users sign in at is at `auth.`. */
  hostname: string;
  /** Where to listen; an empty hostname is every address, port 0 any free one. */
  addr: { hostname: string; port: number };
  stateDir: string;
  /** PEM chain and key for `hostname`, and for `api.` and `auth.` before it; `caPath` names a private CA's file. */
  certificate: () => Promise<{ cert: string; key: string; caPath?: string }>;
  /** Of the first user, where there is none yet. */
  admin?: { username?: string; password?: string | undefined };
  hold?: Partial<HoldOptions>;
  stream?: Partial<StreamTimes>;
  streamLimits?: Partial<StreamLimits>;
  online?: Partial<OnlineTimes>;
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
  const closers: (() => void | Promise<void>)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const dir = await openStateDir(config.stateDir);
    closers.push(() => dir.release());
    const certificate = await config.certificate();
    const store = await Store.open(dir.database);
    closers.push(() => store.close());
    const secret = await loadSecret(dir.path, store);
    let port = config.addr.port;
    const url = (name: string) => `https://${name}${port === 443 ? "" : `:${port}`}`;
    const issuer = await openIssuer({ store, secret, url: () => url(`auth.${config.hostname}`) });
    const deps = dependencies(config, { store, secret, issuer });
    closers.push(() => {
      deps.online.close();
      deps.feed.close();
    });
    await deps.online.start();
    const server = listen(config, certificate, deps);
    closers.push(() => server.close());
    port = server.address.port;
    // Last of all: a start that fails makes no user whose password nobody gets to see.
    const first = await bootstrap({ store, secret, stateDir: dir.path }, {
      username: config.admin?.username ?? "admin",
      password: config.admin?.password,
    });
    log.info("listening on {hostname} port {port}", { ...server.address });
    return {
      ...first,
      serviceUrl: url(config.hostname),
      address: server.address,
      ...(certificate.caPath === undefined ? {} : { caPath: certificate.caPath }),
      store,
      streams: () => deps.streams.size,
      close: closeAll,
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function dependencies(
  config: ControlConfig,
  { store, secret, issuer }: { store: Store; secret: Uint8Array; issuer: Issuer },
): ApiDeps {
  const online = new OnlineTracker(store, { ...DEFAULT_ONLINE_TIMES, ...config.online });
  return {
    store,
    secret,
    feed: new Feed(store),
    online,
    streams: new StreamRegistry({ ...DEFAULT_STREAM_LIMITS, ...config.streamLimits }, online),
    holder: new Holder({ ...DEFAULT_HOLD, ...config.hold }),
    streamTimes: { ...DEFAULT_STREAM_TIMES, ...config.stream },
    issuer,
  };
}

function listen(
  config: ControlConfig,
  certificate: { cert: string; key: string },
  deps: ApiDeps,
): { address: Deno.NetAddr; close(): Promise<void> } {
  const app = createApp(deps);
  const stop = new AbortController();
  let busy = 0;
  const serve = (hostname: string) =>
    Deno.serve({
      hostname,
      port: config.addr.port,
      cert: certificate.cert,
      key: certificate.key,
      signal: stop.signal,
      onListen: () => {},
      onError: (error) => {
        // Also called when a response body fails, which for a stream is how it ends.
        if (!(error instanceof StreamEnded)) log.error("cannot answer: {error}", { error });
        return new Response(null, { status: 500 });
      },
    }, async (request, info) => {
      busy++;
      try {
        return await app.fetch(request, { remoteAddr: unmapped(info.remoteAddr) });
      } finally {
        busy--;
      }
    });
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = bind(config.addr.hostname, serve);
  } catch (error) {
    throw listenError(config, error);
  }
  return {
    address: server.addr,
    async close() {
      deps.streams.abortAll();
      deps.holder.releaseAll();
      for (const start = Date.now(); busy > 0 && Date.now() - start < CLOSE_TIMEOUT;) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      // Not `shutdown()`: that waits for clients that keep their connection open.
      stop.abort();
      await server.finished;
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

/** An IPv4 client of a socket for both is seen as `::ffff:192.0.2.1`. */
function unmapped(address: Deno.NetAddr): Deno.NetAddr {
  return { ...address, hostname: address.hostname.replace(/^::ffff:(?=\d+\.)/, "") };
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
