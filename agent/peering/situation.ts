/**
 * What a pass knows of one peer.
 *
 * @module
 */
import type { Heard } from "./crossing/mod.ts";
import type { Observed, Peer, Probed, Self } from "./types.ts";
import type { VpcRelay } from "./ways/mod.ts";

/** What does not change while one peer is planned. */
export interface Situation {
  self: Self;
  peer: Peer;
  relay: string | undefined;
  vpcRelay: VpcRelay | undefined;
  loopback: string | undefined;
  observed: Observed | undefined;
  /** Undefined: the peer does not know probes, or there are none here. */
  probed: Probed | undefined;
  /** What the peer says of itself; undefined: nothing, or long ago. */
  heard: Heard | undefined;
  /** Addresses of both can have stand-ins here. */
  crosses: boolean;
  /** Where this host, as a relay, met it before it was started again. */
  seenAt: string | undefined;
  /** Nothing says that it may be there (`health/rest.ts`). */
  away: boolean;
  now: number;
  /** The clock on the wall, ms since the epoch: what both sides have in common. */
  wall: number;
  /** What the path depends on is another than before. */
  changed: boolean;
  /** The control plane says that the peer is back. */
  returned: boolean;
}
