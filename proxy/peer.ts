/** What the proxy keeps of one peer. */
import { keyToBase64 } from "../relay/derp/mod.ts";
import type { CaptureSocket } from "./capture/mod.ts";
import type { Crossing } from "./handshakes/mod.ts";
import type { Place } from "./relays/mod.ts";
import type { ProxyStatus } from "./types.ts";

/** One peer. Its counters change with each packet. */
export interface Peer {
  readonly key: Uint8Array;
  /** Base64. */
  readonly name: string;
  /** Through which relays it is reached. */
  readonly where: Place;
  endpoint: string;
  socket: CaptureSocket | undefined;
  /** Where our key is the lower one. */
  crossing: Crossing | undefined;
  reopen: ReturnType<typeof setTimeout> | undefined;
  removed: boolean;
  txPackets: number;
  txBytes: number;
  rxPackets: number;
  rxBytes: number;
  gone: string | undefined;
}

/** A peer without a socket; `where` has its key. */
export function newPeer(where: Place): Peer {
  return {
    key: where.key,
    name: keyToBase64(where.key),
    where,
    endpoint: "",
    socket: undefined,
    crossing: undefined,
    reopen: undefined,
    removed: false,
    txPackets: 0,
    txBytes: 0,
    rxPackets: 0,
    rxBytes: 0,
    gone: undefined,
  };
}

/** A peer as status tells it; `relay` is the name of the one where it is. */
export function statusOf(peer: Peer, relay: string | undefined): ProxyStatus["peers"][number] {
  const { name: publicKey, endpoint, gone, txPackets, txBytes, rxPackets, rxBytes } = peer;
  return {
    ...{ publicKey, endpoint },
    ...(relay === undefined ? {} : { relay }),
    ...{ txPackets, txBytes, rxPackets, rxBytes },
    ...(gone === undefined ? {} : { gone }),
  };
}
