/**
 * The steps of one peer from behind the VPC's relay and there: what {@link nextStage} allows becomes
 * part of its history.
 *
 * @module
 */
import { encodeTold, FRESH, nextStage, type Stage, understand } from "./stages.ts";
import type { Health } from "../health/mod.ts";
import { type Method, methodOf } from "../ways/mod.ts";
import type { Situation } from "../situation.ts";
import type { MethodId, PathEventCode, PathProbes, PeerHistory } from "../types.ts";

/** A way beside the relay that has no handshake by then is given up, ms: two tries of WireGuard's. */
export const BESIDE_LIMIT = 10_000;
/** How long the peer is waited for on the first stage, ms: it costs keepalives only. */
const PATIENCE = 60_000;
/** How long two hosts may not understand each other before one of them yields, ms. */
const APART_LIMIT = 500;
/** How long the peer's word that it does not reach the relay has to stand, ms. */
const WORD_STANDS = 2_000;
/** Time between two passes on the way, ms. */
const PACE = 200;

/** The walk of a peer, as far as it matters here. */
interface Walk {
  readonly h: PeerHistory;
  readonly s: Situation;
  readonly health: Health;
  /** Where WireGuard sends, when that is straight to the peer. */
  readonly inUse: string | undefined;
  apply(method: Method | undefined, since?: number): void;
  note(event: PathEventCode, method?: MethodId): void;
}

/** How far a peer is. */
export function stageOf(h: PeerHistory): Stage {
  return h.stage?.at ?? (h.method === "via-relay" ? 0 : 5);
}

/** What the peer is told of this host, and whether what it tells matters now. */
export function conversation(walk: Walk): Pick<PathProbes, "tell" | "ask"> {
  const { h, s: { vpcRelay, crosses } } = walk;
  // Without a relay there is nothing to be behind of.
  if (vpcRelay === undefined) return {};
  const carrier = vpcRelay.healthy ? vpcRelay.mark : 0;
  return {
    tell: encodeTold({ stage: stageOf(h), crosses, carrier }),
    ...(asks(walk) ? { ask: true } : {}),
  };
}

function asks(walk: Walk): boolean {
  const { h, s } = walk;
  if (s.probed?.speaks !== true) return false;
  return s.heard === undefined || h.beside !== undefined || h.stage !== undefined ||
    !understand(stageOf(h), s.heard.stage) || goalOf(walk) !== stageOf(h) ||
    (h.method === "via-relay" && !reachesRelay(s));
}

/** When the next pass has to be, ms; or Infinity. */
export function wakeAcross({ h, s }: Walk): number {
  const waits = h.beside !== undefined || h.stage !== undefined || h.apartSince !== undefined ||
    (h.method === "via-relay" && s.heard !== undefined && !reachesRelay(s));
  return waits ? s.now + PACE : Infinity;
}

/** True when the peer has been saying for a while that it does not reach the relay. */
export function isApart(s: Situation): boolean {
  return s.heard !== undefined && !reachesRelay(s) && s.now - s.heard.since >= WORD_STANDS;
}

/** A way of the peer's own is made ready while the relay carries the traffic. */
export function besideRelay(
  { h, s, note }: Walk,
  method: MethodId,
  endpoint: string | undefined,
): void {
  if (h.beside !== undefined) return;
  h.beside = { method, since: s.now, ...(endpoint === undefined ? {} : { endpoint }) };
  note("probe", method);
}

/** The relay is lost: the way beside it, where that is ready; true: it is taken. */
export function landBeside(walk: Walk): boolean {
  if (!besideWorks(walk)) return false;
  enter(walk, 5);
  return true;
}

/**
 * Two hosts that do not understand each other, because one had to leave its way at once: the one
 * that can do so goes behind the relay, if both reach it. Else the other one leaves it, because of
 * {@link isApart}.
 */
export function yieldToRelay(walk: Walk): void {
  const { h, s } = walk;
  const { heard, vpcRelay, now } = s;
  const at = stageOf(h);
  const news = heard !== undefined && now - heard.at <= FRESH &&
    heard.at > (h.stage?.since ?? h.appliedAt);
  if (!news || understand(at, heard.stage)) {
    delete h.apartSince;
    return;
  }
  h.apartSince ??= now;
  if (now - h.apartSince < APART_LIMIT || at <= 2) return;
  if (vpcRelay?.healthy !== true || !reachesRelay(s)) return;
  walk.apply(methodOf("via-relay"));
  walk.note("chosen");
  delete h.apartSince;
}

/** One step towards the better of the two, where the peer is as far. */
export function stepAcross(walk: Walk): void {
  const { h, s } = walk;
  const at = stageOf(h), goal = goalOf(walk);
  if (at === 0 && h.beside !== undefined && goal === 0) return giveUpBeside(walk);
  // Nothing is known yet of the way beside the relay.
  if (at === 0 && h.beside !== undefined && !besideWorks(walk)) return;
  const enteredAt = h.stage?.since ?? h.appliedAt;
  const { heard, crosses, now } = s;
  const next = nextStage({ at, goal, heard, crosses, enteredAt, now });
  if (next !== at) enter(walk, next);
}

/** Where this host wants to be: behind the relay (0), or on a way of the peer's own (5). */
function goalOf(walk: Walk): 0 | 5 {
  const { h, s, health } = walk;
  const at = stageOf(h);
  if (at <= 2) {
    const { beside } = h;
    if (beside === undefined || !methodOf(beside.method).direct) return 0;
    const waited = s.now - (h.stage?.since ?? beside.since);
    if (at <= 1 && waited > (besideWorks(walk) ? PATIENCE : BESIDE_LIMIT)) return 0;
    return isSilent(walk) || (at > 0 && !besideWorks(walk)) ? 0 : 5;
  }
  if (h.method === undefined || methodOf(h.method).direct || !health.healthy) return 5;
  const ready = at < 5 ? s.vpcRelay?.healthy : s.vpcRelay?.stable;
  return ready && s.heard !== undefined && reachesRelay(s) ? 0 : 5;
}

function reachesRelay({ heard, vpcRelay }: Situation): boolean {
  return heard === undefined || heard.carrier === vpcRelay?.mark;
}

/** A handshake came since the way was laid beside the relay, and the peer does not keep silent there. */
function besideWorks(walk: Walk): boolean {
  const { h, s } = walk;
  return h.beside !== undefined && !isSilent(walk) &&
    (s.observed?.lastHandshake ?? -Infinity) >= h.beside.since;
}

function isSilent({ h, s }: Walk): boolean {
  const endpoint = h.beside?.endpoint;
  return endpoint !== undefined && s.probed?.silent.has(endpoint) === true;
}

function giveUpBeside({ h, s, note }: Walk): void {
  const { method } = h.beside!;
  delete h.beside;
  if (!methodOf(method).direct) return; // it was left for the relay
  h.appliedAt = s.now;
  h.probesFailed++;
  note("probe-failed", method);
}

function enter(walk: Walk, next: Stage): void {
  const { h, s } = walk;
  const at = stageOf(h);
  const { beside } = h;
  if (at <= 2 && next >= 3 && beside !== undefined) {
    // Its handshake counts.
    walk.apply(methodOf(beside.method), beside.since);
    if (beside.endpoint !== undefined) h.endpoint = beside.endpoint;
    walk.note("probe-kept");
  } else if (at >= 3 && next <= 2) {
    const method = h.method!, since = h.appliedAt;
    const endpoint = walk.inUse ?? s.loopback;
    walk.apply(methodOf("via-relay"));
    if (next > 0) h.beside = { method, since, ...(endpoint === undefined ? {} : { endpoint }) };
    walk.note("chosen");
  }
  if (next === 0 || next === 5) delete h.stage;
  else h.stage = { at: next, since: s.now };
}
