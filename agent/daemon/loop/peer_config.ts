/** What WireGuard gets of a plan. */
import type { PeerPlan } from "../../peering/mod.ts";
import type { PeerConfig } from "../../wireguard/mod.ts";

/** The peer of a plan, as the device wants it. */
export function peerConfig(plan: PeerPlan): PeerConfig {
  const { peer, allowedIps, networks = [], crossing, keepaliveSeconds, endpoint, session } = plan;
  const standIns = crossing?.peer.map(({ alias }) => alias) ?? [];
  // Networks behind peers are routed apart, so that they never take the host's own from it; what
  // stands in for addresses is never routed: it is put in behind that.
  const apart = networks.length + standIns.length > 0;
  return {
    publicKey: peer.publicKey,
    allowedIps: [...allowedIps, ...standIns],
    ...(apart ? { routes: allowedIps.filter((prefix) => !networks.includes(prefix)) } : {}),
    keepaliveSeconds,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(session === undefined ? {} : { session }),
  };
}
