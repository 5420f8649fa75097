/**
 * What the relay counts. Plain numbers, because a labelled counter costs two hundred nanoseconds
 * and a packet's whole budget is about two thousand; the metrics page reads them when asked.
 */

/** Why a packet was dropped. The names are label values of `derp_packets_dropped`. */
export const DropReason = {
  UnknownDest: 0,
  UnknownDestOnForward: 1,
  GoneDisconnected: 2,
  QueueHead: 3,
  QueueTail: 4,
  WriteError: 5,
  DupClient: 6,
  QueueAge: 7,
} as const;
export type DropReason = typeof DropReason[keyof typeof DropReason];

/** Label texts by {@link DropReason}. */
export const DROP_REASONS = [
  "unknown_dest",
  "unknown_dest_on_fwd",
  "gone_disconnected",
  "queue_head",
  "queue_tail",
  "write_error",
  "dup_client",
  "queue_age",
] as const;

/** Label texts of a packet's kind, told from its clear first bytes: 0 disco, 1 anything else. */
export const KINDS = ["disco", "other"] as const;

/** WireGuard message types by the clear first byte of a packet; 0 is anything else. */
export const WIREGUARD_TYPES = [
  "other",
  "handshake_initiation",
  "handshake_response",
  "cookie_reply",
  "transport_data",
] as const;

/** All counters of one relay. Fields only grow, except the `current…` ones. */
export class Counters {
  accepts = 0;
  tlsAccepted = 0;
  /** Connections closed at once: over the accept limit, or too many of one address. */
  acceptLimited = 0;
  addressLimited = 0;
  websocketAccepts = 0;
  packetsReceived = 0;
  bytesReceived = 0;
  packetsSent = 0;
  bytesSent = 0;
  discoReceived = 0;
  writes = 0;
  unknownFrames = 0;
  gotPing = 0;
  sentPong = 0;
  pingsIgnored = 0;
  peerGoneDisconnected = 0;
  peerGoneNotHere = 0;
  controlDropped = 0;
  writeTimeouts = 0;
  loginsRefused = 0;
  loginTimeouts = 0;
  headTimeouts = 0;
  protocolErrors = 0;
  /** Logins that admission turned away, and those let in because it could not be asked. */
  admissionRefused = 0;
  admissionFailedOpen = 0;
  /** Reads delayed by the receive rate limit. */
  rateLimitWaits = 0;
  /** Packets to and from other relays of the region, and to and from siblings. */
  forwardedOut = 0;
  forwardedIn = 0;
  siblingOut = 0;
  siblingIn = 0;
  multiforwarderCreated = 0;
  multiforwarderDeleted = 0;
  forwarderDeleteOther = 0;
  meshUpdates = 0;
  restartingSent = 0;
  dupClientConns = 0;
  homeMovesIn = 0;
  homeMovesOut = 0;
  currentConnections = 0;
  currentHome = 0;
  currentNotIdeal = 0;

  /** Dropped packets and their bytes at `reason * 2 + kind`. */
  readonly dropped = new Float64Array(DROP_REASONS.length * 2);
  readonly droppedBytes = new Float64Array(DROP_REASONS.length * 2);
  /** Received packets by WireGuard message type. */
  readonly wireguard = new Float64Array(WIREGUARD_TYPES.length);

  drop(reason: DropReason, disco: boolean, bytes: number): void {
    const index = reason * 2 + (disco ? 0 : 1);
    this.dropped[index]! += 1;
    this.droppedBytes[index]! += bytes;
  }

  /** Packets dropped for a reason, or for any. */
  droppedTotal(reason?: DropReason): number {
    if (reason !== undefined) return this.dropped[reason * 2]! + this.dropped[reason * 2 + 1]!;
    return this.dropped.reduce((sum, n) => sum + n, 0);
  }
}
