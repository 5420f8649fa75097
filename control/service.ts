import { type ApiDeps, createApp, Rates } from "./api/mod.ts";
import type { AuditLimits } from "./audit/mod.ts";
import type { PasswordCost } from "./auth/mod.ts";
import { type Bootstrap, bootstrap, withoutUser } from "./bootstrap.ts";
import { keepClean } from "./cleanup/mod.ts";
import {
  DEFAULT_ONLINE_TIMES,
  DEFAULT_STREAM_LIMITS,
  DEFAULT_STREAM_TIMES,
  Feed,
  type OnlineTimes,
  OnlineTracker,
  type StreamLimits,
  StreamRegistry,
  type StreamTimes,
} from "./events/mod.ts";
import { DASHBOARD_PATH } from "./dashboard/mod.ts";
import { DEFAULT_HOLD, Holder, type HoldOptions } from "./http/mod.ts";
import { type Issuer, openIssuer } from "./issuer/mod.ts";
import { type OidcSettings, openExternalIssuer } from "./oidc/mod.ts";
import { type OwnRelay, publishOwnRelay, type Reading, RelayProber } from "./relay_regions/mod.ts";
import { Metrics } from "./metrics/mod.ts";
import { loadSecret, openStateDir } from "./state_dir.ts";
import { Store } from "./store/mod.ts";

/** How long a close waits for answers that are under way, in milliseconds. */
const CLOSE_TIMEOUT = 500;

/** What a control plane without a listener is opened with. */
export interface ServiceConfig {
  /** DNS name; the API is at `api.` before it, what users sign in at is at `auth.`. */
  hostname: string;
  /** The port in its addresses; asked for after the first request at the earliest. */
  port: () => number;
  stateDir: string;
  /** `postgres://` URL of the database; by default it is a file in the state directory. */
  databaseUrl?: string | undefined;
  /** Of the first user, where there is none yet; `cost` of its password in tests. */
  admin?: { username?: string; password?: string | undefined; cost?: PasswordCost };
  /** Requests a second of one credential; an address may send twice as many. 0 or absent: no limit. */
  rateLimit?: number;
  /** Another issuer in the place of our own. */
  oidc?: OidcSettings | undefined;
  /** Of the program, for its metrics. */
  version?: string | undefined;
  /** Origins whose pages may use the API: `https://HOST`. */
  corsOrigins?: readonly string[];
  /** How much of the audit log is kept; by default a year, and 100,000 entries an organization. */
  audit?: AuditLimits;
  hold?: Partial<HoldOptions>;
  stream?: Partial<StreamTimes>;
  streamLimits?: Partial<StreamLimits>;
  online?: Partial<OnlineTimes>;
}

/** A control plane without a listener: whoever has one gives it the requests. */
export interface ControlService {
  store: Store;
  /** What agents are given: `https://HOST` with the port unless it is 443. */
  serviceUrl(): string;
  /** Answers. A body may last for hours; one that fails is to be cut off without its end. */
  fetch(request: Request, remoteAddr: Deno.NetAddr): Promise<Response>;
  /**
   * The first user and its registration key, made where there is none. To be called when nothing
   * can go wrong any more: a start that fails makes no user whose password nobody gets to see.
   */
  bootstrap(): Promise<Bootstrap>;
  /** Tells agents of the relay in this process, as the operator may then change. */
  publishRelay(own: OwnRelay, load?: () => Promise<Reading>): Promise<void>;
  /** Open event streams. */
  streams(): number;
  /** Cuts off the streams, and waits a moment for the answers that are under way. */
  finish(): Promise<void>;
  /** The same, and closes the database. */
  close(): Promise<void>;
}

/**
 * Opens a control plane. Throws a ControlError for what the user can put right: state directory,
 * database.
 */
export async function openControl(config: ServiceConfig): Promise<ControlService> {
  const closers: (() => void | Promise<void>)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    return await open(config, closers, closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function open(
  config: ServiceConfig,
  closers: (() => void | Promise<void>)[],
  closeAll: () => Promise<void>,
): Promise<ControlService> {
  const { hostname, admin, databaseUrl } = config;
  const dir = await openStateDir(config.stateDir, { database: databaseUrl === undefined });
  closers.push(() => dir.release());
  const store = await Store.open(databaseUrl ?? dir.database);
  closers.push(() => store.close());
  const secret = await loadSecret(dir.path, store);
  const url = (name: string) => {
    const port = config.port();
    return `https://${name}${port === 443 ? "" : `:${port}`}`;
  };
  const dashboard = () => `${url(hostname)}${DASHBOARD_PATH}`;
  const { oidc } = config;
  const metrics = new Metrics(config.version);
  const refused = () => metrics.signInRefused();
  let issuer: Issuer;
  if (oidc === undefined) {
    issuer = await openIssuer({
      store,
      secret,
      dashboard,
      refused,
      url: () => url(`auth.${hostname}`),
    });
  } else {
    const external = openExternalIssuer({ ...oidc, store, dashboard, refused });
    closers.push(() => external.close());
    void external.tryOut();
    issuer = external;
  }
  const deps = dependencies(config, { store, secret, issuer, metrics });
  closers.push(() => {
    deps.online.close();
    deps.feed.close();
  });
  await deps.online.start();
  const prober = new RelayProber(store);
  closers.push(() => prober.close());
  prober.start();
  deps.relayHealth = (id) => prober.health(id);
  closers.push(keepClean(store, config.audit));
  const app = createApp(deps);
  let busy = 0;
  const finish = async () => {
    deps.streams.abortAll();
    deps.holder.releaseAll();
    for (const start = performance.now(); busy > 0 && performance.now() - start < CLOSE_TIMEOUT;) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  closers.push(finish);
  return {
    store,
    serviceUrl: () => url(hostname),
    async fetch(request, remoteAddr) {
      busy++;
      try {
        return await app.fetch(request, { remoteAddr });
      } finally {
        busy--;
      }
    },
    bootstrap: () =>
      oidc !== undefined
        ? withoutUser({ store, stateDir: dir.path }, oidc.issuer)
        : bootstrap({ store, secret, stateDir: dir.path }, {
          username: admin?.username ?? "admin",
          password: admin?.password,
          cost: admin?.cost,
        }),
    async publishRelay(own, load) {
      const id = await publishOwnRelay(store, own);
      if (id !== undefined && load !== undefined) prober.tells(id, load);
    },
    streams: () => deps.streams.size,
    finish,
    close: closeAll,
  };
}

function dependencies(
  config: ServiceConfig,
  { store, secret, issuer, metrics }: {
    store: Store;
    secret: Uint8Array;
    issuer: Issuer;
    metrics: Metrics;
  },
): ApiDeps {
  const online = new OnlineTracker(store, { ...DEFAULT_ONLINE_TIMES, ...config.online });
  return {
    store,
    secret,
    metrics,
    feed: new Feed(store, (ms) => metrics.passedOn(ms)),
    online,
    streams: new StreamRegistry({ ...DEFAULT_STREAM_LIMITS, ...config.streamLimits }, online),
    holder: new Holder({ ...DEFAULT_HOLD, ...config.hold }),
    streamTimes: { ...DEFAULT_STREAM_TIMES, ...config.stream },
    issuer,
    origins: config.corsOrigins,
    rates: config.rateLimit
      ? new Rates({
        perSecond: config.rateLimit,
        limited: (by) => metrics.limited(by),
      })
      : undefined,
  };
}
