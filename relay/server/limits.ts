/** Every number that bounds the relay, in one place, each with its reason. */

/** Time and size limits of one relay. All times in milliseconds, all sizes in bytes. */
export interface Limits {
  /** From accept to a whole request head: ends silent and dribbling connections. */
  headMs: number;
  /** From the server key to a whole ClientInfo; absolute, dribbling does not stretch it. */
  loginMs: number;
  /** How long admission may take to decide; no answer by then is a refusal. */
  admitMs: number;
  /** A client that takes no byte of a write for this long is closed. */
  writeMs: number;
  /** The same for a client that is a relay of the region. */
  meshWriteMs: number;
  /** The same for a relay or worker that this one forwards to. */
  linkWriteMs: number;
  /** Bytes waiting for one relay or worker that this one forwards to. */
  linkBytes: number;
  /** Packets older than about this are dropped from a queue: WireGuard has sent them again. */
  queueMs: number;
  /** Packets waiting for one client. */
  queuePackets: number;
  /** Bytes of packet frames waiting for one client. */
  queueBytes: number;
  /** Bytes of control frames (Pong, PeerGone, …) waiting for one client. */
  controlBytes: number;
  /** A client that says for the first time within this that here is its home has not moved. */
  settleMs: number;
  /** KeepAlive interval, plus a random part of at most `keepAliveJitterMs` per connection. */
  keepAliveMs: number;
  keepAliveJitterMs: number;
  /** An ordinary HTTP connection without traffic is closed after this. */
  httpIdleMs: number;
  /** Ordinary HTTP connections at once; more are answered 503. */
  httpConnections: number;
  /** How long a closing relay waits for its clients to take what is queued. */
  drainMs: number;
  /** The one timer behind all of the above. */
  sweepMs: number;
}

export const DEFAULT_LIMITS: Limits = {
  headMs: 10_000,
  loginMs: 10_000,
  admitMs: 6_000,
  writeMs: 2_000,
  meshWriteMs: 30_000,
  linkWriteMs: 5_000,
  linkBytes: 4 * 1024 * 1024,
  queueMs: 1_000,
  queuePackets: 512,
  queueBytes: 256 * 1024,
  controlBytes: 32 * 1024,
  settleMs: 5_000,
  keepAliveMs: 60_000,
  keepAliveJitterMs: 5_000,
  httpIdleMs: 30_000,
  httpConnections: 256,
  drainMs: 500,
  sweepMs: 250,
};

/** The largest request head that is read. */
export const MAX_HEAD = 16 * 1024;

/** What an idle connection's pending read waits in. Holds WireGuard's handshakes and keep-alives. */
export const IDLE_READ = 256;

/** A connection with some traffic reads here. Holds a full-size WireGuard packet's frame. */
export const SMALL_READ = 2048;

/** A TLS record's plain text: the most that one read of a TLS connection returns. */
export const TLS_RECORD = 16 * 1024;

/** A busy connection reads here: the largest frame and one more TLS record fit. */
export const BUSY_READ = 84 * 1024;

/** Frames that nobody knows are skipped up to this length; a longer one ends the connection. */
export const MAX_UNKNOWN_FRAME = 1024 * 1024;

/** Receivers remembered per source for PeerGone. Beyond it the earliest is forgotten. */
export const MAX_RECEIVERS = 4096;

/** PeerGone frames that wait for room: a relay of the region with so many keys may go at once. */
export const MAX_LATE = 64 * 1024;

/** PeerGone(not here) answers: this many at once, then one a second. */
export const NOT_HERE_BURST = 3;

/** Changes waiting for a watcher. One that lags further is closed: it comes back and starts anew. */
export const MAX_UPDATES = 1024 * 1024;

/** Keys that one relay may say it has. */
export const MAX_LINK_KEYS = 1024 * 1024;

/** The least depth of the receive rate limit's bucket: the largest packet and its key. */
export const MIN_RATE_BURST = 65_568;
