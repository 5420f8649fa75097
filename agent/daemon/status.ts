/**
 * From what the daemon knows to the status that it tells.
 *
 * @module
 */
import type { AgentStatus, ListedRelayStatus, NetcheckStatus, PeerStatus } from "../ctl/mod.ts";
import type { ControlState, LoginPrompt, NatFacts } from "../onboarding/mod.ts";
import { type BetterWay, explainer, type PeerPlan, type Self } from "../peering/mod.ts";
import type { PeerStats, WireGuardDevice } from "../wireguard/mod.ts";
import type { AgentConfig } from "./config.ts";
import type { ListedRelay, ProxyStatus } from "../../proxy/mod.ts";
import type { Outcome } from "./loop/mod.ts";

/** Everything a status is made of. */
interface StatusParts {
  config: AgentConfig;
  publicKey: string;
  running: boolean;
  /** WireGuard's; undefined while there is none. */
  device: Pick<WireGuardDevice, "name" | "driver" | "scheduling"> | undefined;
  listenPort: number;
  self: Self | undefined;
  nat: NatFacts;
  control: ControlState;
  /** What a person has to do first. */
  login: LoginPrompt | undefined;
  netcheck: NetcheckStatus | undefined;
  proxy: ProxyStatus | undefined;
  outcome: Outcome;
  error: string | undefined;
  /** Of the host's rooms. */
  notes: string[];
  /** ms since the epoch */
  now: number;
  /** The clock on the wall for a moment of steady time. */
  toWall(steady: number): number;
}

/** The status of now. */
export function statusOf(parts: StatusParts): AgentStatus {
  const { config, self, nat, proxy, outcome, control } = parts;
  const symmetric = nat.symmetric;
  const packets = new Map(proxy?.peers.map((peer) => [peer.publicKey, peer]));
  const relay = proxy === undefined ? {} : { relay: proxy.relay.host };
  const explain = self === undefined
    ? () => []
    : explainer({ self, ...relay, plans: outcome.plans, now: parts.now });
  return {
    status: stateOf(parts),
    version: config.version,
    hostname: config.hostname,
    public_key: parts.publicKey,
    tunnel_ipv4: self?.tunnelIpv4 ?? "",
    tunnel_ipv6: self?.tunnelIpv6 ?? "",
    interface: parts.device?.name ?? config.interfaceName,
    ...(parts.device === undefined ? {} : { driver: parts.device.driver }),
    ...(parts.device?.scheduling === undefined ? {} : { scheduling: parts.device.scheduling }),
    listen_port: parts.listenPort,
    nat: symmetric === undefined ? "unknown" : symmetric ? "symmetric" : "cone",
    reflexive: nat.reflexive ?? "",
    ...(nat.reflexive6 === undefined ? {} : { reflexive6: nat.reflexive6 }),
    relay_only: config.relayOnly,
    control: { url: config.join.serviceUrl.origin, ...control },
    relay: proxy === undefined
      ? null
      : { ...proxy.relay, ...(outcome.relayReason === "" ? {} : { reason: outcome.relayReason }) },
    relays: proxy?.relays.map(relayStatus) ?? [],
    capture: proxy?.capture ?? "",
    drops: proxy?.drops ?? {},
    ...(parts.netcheck === undefined ? {} : { netcheck: parts.netcheck }),
    peers: outcome.plans.toSorted(byName).map((plan) => {
      const { publicKey } = plan.peer;
      const relayed = plan.method === "via-derp-relay" && proxy !== undefined
        ? { home: proxy.relay.host, packets: packets.get(publicKey) }
        : undefined;
      const seen = outcome.stats.get(publicKey);
      return peerStatus(plan, seen, relayed, explain(plan), pathsOf(plan, parts));
    }),
    skipped: outcome.skipped.map(({ hostname, publicKey, code, reason }) => ({
      hostname,
      public_key: publicKey,
      code,
      reason,
    })),
    ...(parts.notes.length === 0 ? {} : { host: parts.notes }),
    ...(parts.login === undefined
      ? {}
      : { login: { url: parts.login.url, code: parts.login.code } }),
    ...(parts.error === undefined ? {} : { error: parts.error }),
  };
}

/** The order in which a person looks for a peer. */
function byName({ peer: a }: PeerPlan, { peer: b }: PeerPlan): number {
  if (a.hostname !== b.hostname) return a.hostname < b.hostname ? -1 : 1;
  return a.publicKey < b.publicKey ? -1 : 1;
}

/** What a status has in a few words. */
export interface Vitals {
  status: AgentStatus["status"];
  control: ControlState;
  /** What a person has to do first. */
  login?: LoginPrompt;
  peers: readonly PeerPlan[];
}

/** The same, of what there is. */
export function vitalsOf(
  { running, login, control, plans }:
    & Pick<StatusParts, "running" | "login" | "control">
    & Pick<Outcome, "plans">,
): Vitals {
  const status = stateOf({ running, login });
  return { status, control, peers: plans, ...(login === undefined ? {} : { login }) };
}

function stateOf({ running, login }: Pick<StatusParts, "running" | "login">): Vitals["status"] {
  return running ? "Running" : login === undefined ? "Starting" : "WaitingForAuth";
}

function relayStatus(relay: ListedRelay): ListedRelayStatus {
  const { host, port, address, role, state, since, rttMs, reason, error } = relay;
  return {
    host,
    port,
    ...(address === undefined ? {} : { address }),
    role,
    state,
    ...(since === undefined ? {} : { since }),
    rtt_ms: rttMs ?? null,
    ...(reason === undefined ? {} : { reason }),
    ...(error === undefined ? {} : { error }),
  };
}

function pathsOf(
  { peer }: PeerPlan,
  { outcome, toWall }: StatusParts,
): NonNullable<PeerStatus["paths"]> {
  const answered = outcome.probed?.get(peer.publicKey)?.answered ?? new Map();
  return [...answered].map(([endpoint, { at, rttMs }]) => ({
    endpoint,
    rtt_ms: Math.round(rttMs * 100) / 100,
    answered_ms: toWall(at),
  }));
}

function peerStatus(
  plan: PeerPlan,
  seen: PeerStats | undefined,
  relayed: { home: string; packets: ProxyStatus["peers"][number] | undefined } | undefined,
  better: BetterWay[],
  paths: NonNullable<PeerStatus["paths"]>,
): PeerStatus {
  const { peer } = plan;
  const packets = relayed?.packets;
  return {
    hostname: peer.hostname,
    public_key: peer.publicKey,
    tunnel_ipv4: peer.tunnelIpv4 ?? "",
    tunnel_ipv6: peer.tunnelIpv6 ?? "",
    method: plan.method,
    code: plan.code,
    reason: plan.reason,
    endpoint: (plan.healthy ? seen?.endpoint : undefined) ?? plan.endpoint ?? "",
    ...(relayed === undefined ? {} : { relay: packets?.relay ?? relayed.home }),
    healthy: plan.healthy,
    last_handshake_ms: seen?.lastHandshake ?? null,
    rx_bytes: seen?.rxBytes ?? 0,
    tx_bytes: seen?.txBytes ?? 0,
    ...(packets === undefined
      ? {}
      : { tx_packets: packets.txPackets, rx_packets: packets.rxPackets }),
    allowed_ips: plan.allowedIps,
    history: plan.history,
    ...(better.length > 0 ? { better } : {}),
    ...(paths.length > 0 ? { paths } : {}),
    ...(peer.notes.length > 0 ? { notes: peer.notes } : {}),
  };
}
