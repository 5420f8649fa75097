import type { UserAuthenticator } from "../auth/mod.ts";
import type { DeviceDeps } from "../devices/mod.ts";
import type { Feed, OnlineTracker, StreamRegistry, StreamTimes } from "../events/mod.ts";
import type { Holder } from "../http/mod.ts";

/** What the routes work with. */
export interface ApiDeps extends DeviceDeps {
  feed: Feed;
  streams: StreamRegistry;
  online: OnlineTracker;
  holder: Holder;
  streamTimes: StreamTimes;
  /** Checks bearer values of users; without it there are only registration keys and devices. */
  users?: UserAuthenticator | undefined;
}
