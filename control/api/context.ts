import type { UserAuthenticator } from "../auth/mod.ts";
import type { DeviceDeps } from "../devices/mod.ts";
import type { Feed, OnlineTracker, StreamRegistry, StreamTimes } from "../events/mod.ts";
import type { Holder } from "../http/mod.ts";
import type { Rates } from "./guards.ts";
import type { Issuer } from "../issuer/mod.ts";
import type { Metrics } from "../metrics/mod.ts";
import type { RelayHealth } from "./types.ts";

/** What the routes work with. */
export interface ApiDeps extends DeviceDeps {
  feed: Feed;
  streams: StreamRegistry;
  online: OnlineTracker;
  holder: Holder;
  streamTimes: StreamTimes;
  /** What was seen of a public relay, by its id. */
  relayHealth?: ((id: string) => RelayHealth | undefined) | undefined;
  /** Counts what is done, and tells it to this host. */
  metrics?: Metrics | undefined;
  /** Counts requests; without it nobody is held to a number of them. */
  rates?: Rates | undefined;
  /** Origins whose pages may use the API. */
  origins?: readonly string[] | undefined;
  /** Signs users in; without it there are only registration keys and devices. */
  issuer?: Issuer | undefined;
  /** Checks bearer values of users in place of the issuer. */
  users?: UserAuthenticator | undefined;
}
