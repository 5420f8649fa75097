/**
 * What a relay tells about itself, as plain data: it crosses process boundaries as JSON, is summed
 * over the workers of a relay, and is what the metrics and the operator's pages are made of.
 */

/** A histogram of seconds: `counts[i]` values were at most `bounds[i]`, the last count is the rest. */
export interface Histogram {
  bounds: number[];
  /** One more than `bounds`. Not cumulative. */
  counts: number[];
  /** Sum of all values, in the unit of the bounds. */
  sum: number;
}

/** One logged-in connection. */
export interface ClientState {
  /** Public key in the short form of logs, `[abcde]`, and in full, 64 hex digits. */
  key: string;
  /** IP address and port, `1.2.3.4:5678`. */
  remote: string;
  /** Milliseconds since the Unix epoch. */
  since: number;
  /** Bytes of frames. */
  receivedBytes: number;
  sentBytes: number;
  queuedPackets: number;
  droppedPackets: number;
  /** Keys that have sent to this connection; one that left and came back counts again. */
  uniqueSenders: number;
  home: boolean;
  mesh: boolean;
  prober: boolean;
  websocket: boolean;
  duplicate: boolean;
}

/** A link to another relay of the region, or to another worker of this relay. */
export interface LinkState {
  /** Host, or worker name. */
  name: string;
  state: "connected" | "connecting" | "self" | "closed";
  since: number;
  /** Keys reached through it. */
  keys: number;
  sentPackets: number;
  droppedPackets: number;
  error?: string | undefined;
}

/** What one worker process spends. */
export interface ProcessState {
  pid: number;
  /** Milliseconds since the Unix epoch. */
  since: number;
  cpuSeconds: number;
  rssBytes: number;
  /** Open sockets; where the system lets them be counted. */
  sockets?: number;
}

/** Values that go up and down. */
export interface Gauges {
  connections: number;
  home: number;
  notIdeal: number;
  /** Distinct keys connected here; known only from other relays of the region; both. */
  keysLocal: number;
  keysRemote: number;
  keysTotal: number;
  duplicateKeys: number;
  duplicateConnections: number;
  watchers: number;
  queuedPackets: number;
  queuedBytes: number;
  /** Connections whose login is not finished. */
  loggingIn: number;
  /** Ordinary HTTP streams open. */
  httpStreams: number;
}

/** A relay, or one worker of it, at one moment. */
export interface RelaySnapshot {
  /** Counters by field name of `Counters`. They only grow. */
  counters: Record<string, number>;
  /** Dropped packets, and their bytes, at `reason * 2 + kind`. */
  dropped: number[];
  droppedBytes: number[];
  /** Received packets by WireGuard message type. */
  wireguard: number[];
  gauges: Gauges;
  /** Seconds from the accept to the registration of a client. */
  loginSeconds: Histogram;
  /** Frames in one write. */
  framesPerWrite: Histogram;
  /** Changes of presence told to a watcher at once, and rounds it took. */
  meshUpdateBatchSize: Histogram;
  meshUpdateLoopCount: Histogram;
  /** The busiest connections, at most {@link MAX_CLIENTS}. */
  clients: ClientState[];
  mesh: LinkState[];
  siblings: LinkState[];
  processes: ProcessState[];
}

/** Connections listed in a snapshot. */
export const MAX_CLIENTS = 1000;
