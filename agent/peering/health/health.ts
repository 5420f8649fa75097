/**
 * When a path counts as healthy, suspect or failed. Pure; times in ms.
 *
 * @module
 */
import type { Observed, PeerHistory, Traffic } from "../types.ts";

/** A handshake older than this is no sign of life: WireGuard rejects after 180 s, plus 30 s. */
export const HANDSHAKE_LIFE = 210_000;
/** A method that was never healthy is given up after this long. */
export const NEVER_HEALTHY_LIMIT = 30_000;
/** A method that was healthy is given up this long after it last was. */
export const WAS_HEALTHY_LIMIT = 180_000;
/**
 * More than keepalives was sent and nothing came for this long: the path is suspect. WireGuard at
 * the other end answers data within 10 s, if only with a keepalive (KEEPALIVE_TIMEOUT), and a
 * handshake at once.
 */
export const SUSPECT_AFTER = 12_000;
/** More than the keepalives (32 bytes) of {@linkcode SILENT_AFTER}; an initiation is 148 bytes. */
const ASKING_BYTES = 128;
/** Both sides send a keepalive every 20 s: three missed in a row are suspect on an idle path too. */
const SILENT_AFTER = 65_000;

/**
 * How long a better method may take to show life, ms. Short, because what is sent meanwhile is lost
 * when it does not. The other side may come later by its clock: WireGuard then follows it.
 */
export const PROBE_LIMIT = 3_000;
/** More than keepalives and a handshake: of a peer that gets it something should come soon. */
const TALK_BYTES = 1_024, TALK_LIMIT = PROBE_LIMIT / 4;

/**
 * More bytes than this between two passes, both ways together, are traffic: keepalives have 32, a
 * handshake has {@link HANDSHAKE_BYTES}.
 */
const TRAFFIC_BYTES = 160, HANDSHAKE_BYTES = 272;
/** And this much more for each second that passes are farther apart than usual: calls in vain. */
const USUAL_PASS = 2_000, CALLS_BYTES = 32;

/** Follows the byte counters; a counter that went back means a new device. */
export function followTraffic(
  before: Traffic | undefined,
  observed: Observed | undefined,
  now: number,
): Traffic | undefined {
  if (observed === undefined) return undefined;
  const { rxBytes: rx, txBytes: tx, lastHandshake } = observed;
  const handshake = lastHandshake === undefined ? {} : { handshake: lastHandshake };
  if (before === undefined || rx < before.rx || tx < before.tx) {
    return { rx, tx, rxAt: now, lookedAt: now, txAtRx: tx, ...handshake };
  }
  const flowed = rx - before.rx + tx - before.tx -
    (before.handshake === lastHandshake ? 0 : HANDSHAKE_BYTES);
  const longer = Math.max(0, now - before.lookedAt - USUAL_PASS) / 1000;
  const busyAt = flowed > TRAFFIC_BYTES + CALLS_BYTES * longer ? now : before.busyAt;
  const busy = { lookedAt: now, ...handshake, ...(busyAt === undefined ? {} : { busyAt }) };
  if (rx !== before.rx) {
    return { rx, tx, rxAt: now, grew: { from: before.lookedAt, to: now }, txAtRx: tx, ...busy };
  }
  const asked = tx - before.txAtRx > ASKING_BYTES;
  return asked && before.askedAt === undefined
    ? { ...before, tx, askedAt: now, ...busy }
    : { ...before, tx, ...busy };
}

/** True when the counters say that the path is dead although the last handshake is recent. */
export function isSuspect(
  traffic: Traffic | undefined,
  observed: Observed | undefined,
  now: number,
): boolean {
  if (traffic === undefined || observed?.lastHandshake === undefined) return false;
  if (observed.lastHandshake > traffic.rxAt) return false;
  return now - traffic.rxAt >= SILENT_AFTER ||
    (traffic.askedAt !== undefined && now - traffic.askedAt >= SUSPECT_AFTER);
}

/** What is known about the current method of a peer. */
export interface Health {
  healthy: boolean;
  /** Worth leaving if there is anything else to try. */
  suspect: boolean;
  /** To be given up. */
  failed: boolean;
  /** Bytes or a handshake came after the method was applied. */
  evidence: boolean;
}

/**
 * True when a method on trial takes what a busy path sends, and nothing at all comes back: who asks,
 * or waits for acknowledgements, is not kept waiting for the whole trial.
 *
 * @param lasts for how long it has been tried, ms
 * @param sent bytes meanwhile
 */
export function isDumb(lasts: number, sent: number, { evidence }: Health): boolean {
  return !evidence && sent >= TALK_BYTES && lasts >= TALK_LIMIT;
}

/** Judges the current method of a peer. */
export function assess(
  history: PeerHistory,
  observed: Observed | undefined,
  now: number,
): Health {
  const handshake = observed?.lastHandshake;
  const recent = handshake !== undefined && now - handshake <= HANDSHAKE_LIFE;
  const evidence = (handshake !== undefined && handshake >= history.appliedAt) ||
    (history.rxBase !== undefined && observed !== undefined && observed.rxBytes > history.rxBase);
  const suspect = isSuspect(history.traffic, observed, now) &&
    now - history.appliedAt >= SUSPECT_AFTER;
  const healthy = recent && evidence && !suspect;
  const lastHealthy = healthy ? now : history.lastHealthyAt;
  const failed = lastHealthy === undefined
    ? now - history.appliedAt >= NEVER_HEALTHY_LIMIT
    : now - lastHealthy >= WAS_HEALTHY_LIMIT;
  return { healthy, suspect, failed, evidence };
}
