/**
 * From what the last pass found to the little of it that is told. Pure.
 *
 * @module
 */
import type { PathReport, PeerPath, SeenRelay } from "../../../control/api/types.ts";
import type { ProxyStatus } from "../../../proxy/mod.ts";
import { cleanText } from "../../errors.ts";
import type { PeerPlan } from "../../peering/mod.ts";
import type { Outcome } from "../loop/mod.ts";

/** As many as the control plane takes. */
const MAX_PEERS = 128, MAX_RELAYS = 16, MAX_TEXT = 200, MAX_HOST = 254;
/** A round trip that was measured longer ago tells nothing of now, ms. */
const STALE = 300_000;
/** A round trip is another one when it differs by so many ms and by this part of it. */
const NEWS_MS = 5, NEWS_PART = 0.3;

/** What is told of: the last pass, the relays, and the steady time of now, ms. */
interface Known {
  outcome: Pick<Outcome, "plans" | "stats" | "probed">;
  proxy: Pick<ProxyStatus, "relay" | "relays" | "peers"> | undefined;
  now: number;
}

/** The report of now: the peers that work, and those with the most traffic, first. */
export function reportOf({ outcome, proxy, now }: Known): PathReport {
  const { plans, stats, probed } = outcome;
  const used = plans.filter(({ peer, healthy }) => peer.online || healthy);
  const rank = new Map(used.map((plan) => {
    const { rxBytes = 0, txBytes = 0 } = stats.get(plan.peer.publicKey) ?? {};
    // Roughly, so that two that are about the same do not take turns.
    return [plan, (plan.healthy ? 64 : 0) + Math.floor(Math.log2(rxBytes + txBytes + 1) / 4)];
  }));
  const chosen = used.length <= MAX_PEERS
    ? used
    : [...used].sort((a, b) => rank.get(b)! - rank.get(a)! || (a.peer.id < b.peer.id ? -1 : 1))
      .slice(0, MAX_PEERS);
  const relays = new Map(proxy?.peers.map(({ publicKey, relay }) => [publicKey, relay]));
  const own = plans.find(({ peer, healthy }) => peer.relay && healthy)?.peer.hostname;
  const tell = (plan: PeerPlan): PeerPath => {
    const { peer: { id, publicKey }, method, healthy, reason } = plan;
    const over = method === "via-derp-relay"
      ? relays.get(publicKey) ?? proxy?.relay.host
      : method === "via-relay"
      ? own
      : undefined;
    const seen = healthy ? stats.get(publicKey)?.endpoint : undefined;
    const answer = probed?.get(publicKey)?.answered.get(seen ?? plan.endpoint ?? "");
    const relayed = method === "via-derp-relay" || method === "via-relay";
    return {
      device_id: id,
      path: method === "none" ? "none" : relayed ? "relayed" : "direct",
      healthy,
      reason: cleanText(reason, MAX_TEXT),
      ...(over === undefined ? {} : { relay: cleanText(over, MAX_HOST) }),
      ...(answer === undefined || now - answer.at > STALE
        ? {}
        : { latency_ms: rounded(answer.rttMs) }),
    };
  };
  return {
    peers: chosen.map(tell).sort((a, b) => a.device_id < b.device_id ? -1 : 1),
    more: used.length - chosen.length,
    relays: (proxy?.relays ?? []).slice(0, MAX_RELAYS).map((relay): SeenRelay => ({
      hostname: cleanText(relay.host, MAX_HOST),
      port: relay.port,
      home: relay.role === "home",
      ...(relay.rttMs === undefined ? {} : { latency_ms: rounded(relay.rttMs) }),
      ...(relay.error === undefined ? {} : { error: cleanText(relay.error, MAX_TEXT) }),
    })),
  };
}

/**
 * What a report has that another one has not: another way to a peer, or only a detail, such as a round
 * trip, a reason, or which peers of too many are named. Undefined: nothing that is worth sending.
 */
export function newsIn(
  report: PathReport,
  told: PathReport | undefined,
): "path" | "detail" | undefined {
  if (told === undefined) return "path";
  const before = new Map(told.peers.map((peer) => [peer.device_id, peer]));
  // Of too many, those that are named take turns.
  const all = told.more === 0 && report.more === 0;
  const moved = report.peers.some(({ device_id, path, healthy, relay }) => {
    const old = before.get(device_id);
    if (old === undefined) return all && healthy;
    return old.path !== path || old.healthy !== healthy || old.relay !== relay;
  });
  if (moved) return "path";
  // Who is no longer named is offline, which the control plane knows, and all others would tell at once.
  const differs = told.peers.length !== report.peers.length ||
    (told.more === 0) !== (report.more === 0) ||
    told.relays.length !== report.relays.length ||
    report.peers.some((peer, i) => differ(peer, told.peers[i]!)) ||
    report.relays.some((relay, i) => differ(relay, told.relays[i]!));
  return differs ? "detail" : undefined;
}

function differ<T extends { latency_ms?: number | null | undefined }>(a: T, b: T): boolean {
  const { latency_ms: before, ...old } = b, { latency_ms: now, ...rest } = a;
  if (JSON.stringify(rest) !== JSON.stringify(old)) return true;
  if (typeof before !== "number" || typeof now !== "number") return before !== now;
  return Math.abs(now - before) > Math.max(NEWS_MS, NEWS_PART * before);
}

function rounded(ms: number): number {
  return Math.min(600_000, Math.max(0, Math.round(ms * 10) / 10));
}
