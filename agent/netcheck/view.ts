/**
 * What is believed of the NAT, from round to round: one odd answer changes nothing, and a round that
 * fails keeps what was known for a while. Pure.
 *
 * @module
 */
import type { Verdict } from "./judge.ts";

/** How long a view outlives the last round that confirmed it, ms: STUN servers may be away. */
export const KEEP = 30 * 60_000;
/** The same when the host's network has changed since: the old address is likely to be wrong, ms. */
export const KEEP_MOVED = 20_000;

/** What is believed, for one IP version. */
export interface View {
  /** `ip:port` */
  address?: string;
  symmetric?: boolean;
  /** When a round last confirmed it, ms; not of the clock on the wall. */
  goodAt?: number;
  /** When it last changed, ms since the epoch. */
  changedAt?: number;
  /** Rounds fail since then, ms since the epoch, and why the last one did. */
  failing?: { since: number; reason: string };
  /** A change that was seen once. */
  doubt?: Verdict;
}

/** What a round has made of a view. */
export interface Folded {
  view: View;
  /** The address or the kind is another one now. */
  changed: boolean;
  /** A change was seen that one more round has to confirm. */
  confirm: boolean;
}

/** When and under which circumstances. */
export interface FoldContext {
  /** ms, of a clock that only goes forward */
  now: number;
  /** The clock on the wall, ms since the epoch; `now` when left out. */
  wall?: number;
  /** When the host's network last changed, ms. */
  movedAt?: number | undefined;
  /** Why nobody answered, where nobody did. */
  reason?: string | undefined;
}

/**
 * Takes a round into account.
 *
 * - Nobody answered: the view stays until it is {@link KEEP} old.
 * - The same as before: confirmed. Of a symmetric NAT only the IP address counts: the port is
 *   another one for each destination and of no use to anybody.
 * - Two servers agree on another address of a NAT of the same kind: believed at once.
 * - Another kind, or another address that a single server tells: believed when seen twice in a row.
 */
export function fold(view: View, verdict: Verdict, context: FoldContext): Folded {
  const { now, wall = now } = context;
  if (verdict.address === undefined) return failed(view, context);
  const { failing: _failing, doubt, ...known } = view;
  const accept = (symmetric: boolean | undefined): Folded => ({
    view: {
      address: verdict.address!,
      ...(symmetric === undefined ? {} : { symmetric }),
      goodAt: now,
      changedAt: wall,
    },
    changed: true,
    confirm: false,
  });
  const symmetric = verdict.symmetric ?? view.symmetric;
  if (view.address === undefined) return accept(symmetric);
  const sameKind = symmetric === view.symmetric;
  const samePlace = symmetric
    ? ipOf(view.address) === ipOf(verdict.address)
    : view.address === verdict.address;
  if (sameKind && samePlace) {
    return { view: { ...known, goodAt: now }, changed: false, confirm: false };
  }
  // The kind was not known: an answer more is no contradiction.
  const certain = verdict.symmetric === false && (sameKind || view.symmetric === undefined);
  if (certain || (view.symmetric === undefined && samePlace)) return accept(symmetric);
  if (doubt !== undefined && sameVerdict(doubt, verdict)) return accept(symmetric);
  return {
    view: { ...view, doubt: verdict },
    changed: false,
    confirm: true,
  };
}

function failed(view: View, context: FoldContext): Folded {
  const { now, wall = now, movedAt, reason = "no answer" } = context;
  const failing = { since: view.failing?.since ?? wall, reason };
  const goodAt = view.goodAt ?? -Infinity;
  const moved = movedAt !== undefined && movedAt > goodAt;
  const expired = view.address !== undefined &&
    (now - goodAt > KEEP || (moved && now - movedAt > KEEP_MOVED));
  if (expired) return { view: { failing, changedAt: wall }, changed: true, confirm: false };
  return { view: { ...view, failing }, changed: false, confirm: false };
}

function sameVerdict(one: Verdict, other: Verdict): boolean {
  if (one.symmetric !== other.symmetric) return false;
  return one.symmetric
    ? ipOf(one.address ?? "") === ipOf(other.address ?? "")
    : one.address === other.address;
}

function ipOf(endpoint: string): string {
  return endpoint.slice(0, endpoint.lastIndexOf(":"));
}
