/**
 * The measuring of the NAT as status tells it.
 *
 * @module
 */
import type { NetcheckStatus } from "../../ctl/mod.ts";
import type { NatWatchStatus, View } from "../../netcheck/mod.ts";
import type { PublisherStatus } from "./publisher.ts";

/** Status of the measuring and of the publishing. */
export function netcheckStatus(
  watch: NatWatchStatus,
  published: PublisherStatus,
  noProbes?: string,
): NetcheckStatus {
  return {
    method: watch.method,
    ...(watch.reason === undefined ? {} : { method_reason: watch.reason }),
    ...(watch.network === undefined ? {} : { network_watch: watch.network }),
    interval_ms: watch.period,
    rounds: watch.rounds,
    last_round_ms: watch.lastRound ?? null,
    last_good_ms: watch.lastGood ?? null,
    ipv4: familyStatus(watch.views[4]),
    ipv6: familyStatus(watch.views[6]),
    servers: watch.servers.map((one) => ({
      server: one.server,
      family: one.family === 4 ? "ipv4" : "ipv6",
      address: one.target,
      ...(one.seen === undefined ? {} : { seen: one.seen }),
      rtt_ms: one.rttMs === undefined ? null : Math.round(one.rttMs * 100) / 100,
      ...(one.error === undefined ? {} : { error: one.error }),
    })),
    path_probes: noProbes === undefined ? "on" : "off",
    ...(noProbes === undefined ? {} : { path_probes_reason: noProbes }),
    published: published.state,
    ...(published.error === undefined ? {} : { publish_error: published.error }),
    ...(watch.error === undefined ? {} : { error: watch.error }),
  };
}

function familyStatus(view: View): NetcheckStatus["ipv4"] {
  const { address, symmetric, changedAt, failing } = view;
  return {
    nat: address === undefined || symmetric === undefined
      ? "unknown"
      : symmetric
      ? "symmetric"
      : "cone",
    reflexive: address ?? "",
    ...(changedAt === undefined ? {} : { changed_ms: changedAt }),
    ...(failing === undefined ? {} : { failing_since_ms: failing.since, error: failing.reason }),
  };
}
