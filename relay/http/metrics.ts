/**
 * The relay's counters as a Prometheus page, with the names that the reference relay uses, so that
 * its dashboards fit.
 */
import client from "prom-client";
import type { StunCounters } from "../stun/server.ts";
import { type Counters, DROP_REASONS, KINDS, WIREGUARD_TYPES } from "../server/mod.ts";

/** What is published. */
export interface MetricsSource {
  counters: Counters;
  /** Distinct keys, duplicated keys, connections that share a key. */
  clients(): { keys: number; duplicates: { keys: number; connections: number } };
  stun(): StunCounters | undefined;
  version: string;
}

/** The metrics page. */
export interface RelayMetrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Makes the page. Values are read when it is asked for, never on the packet path. */
export function relayMetrics(source: MetricsSource): RelayMetrics {
  const registry = new client.Registry();
  const registers = [registry];
  const { counters } = source;

  const counter = (name: string, help: string, read: () => number) => {
    new client.Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  const gauge = (name: string, help: string, read: () => number) => {
    new client.Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  const labelled = (
    name: string,
    help: string,
    labelNames: string[],
    read: () => Iterable<[Record<string, string>, number]>,
  ) => {
    new client.Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [labels, value] of read()) this.inc(labels, value);
      },
    });
  };
  const byReason = (values: Float64Array) => () =>
    DROP_REASONS.flatMap((reason, r) =>
      KINDS.map((kind, k): [Record<string, string>, number] => [
        { reason, kind },
        values[r * 2 + k]!,
      ])
    );

  counter("derp_accepts", "DERP connections taken", () => counters.accepts);
  gauge("derp_current_connections", "logged-in connections", () => counters.currentConnections);
  gauge(
    "derp_current_home_connections",
    "connections whose client calls this relay its home",
    () => counters.currentHome,
  );
  gauge(
    "derp_current_notideal_connections",
    "connections whose client would rather be on another node",
    () => counters.currentNotIdeal,
  );
  gauge("derp_clients_total", "distinct keys in the region", () => source.clients().keys);
  gauge("derp_clients_local", "distinct keys on this relay", () => source.clients().keys);
  gauge(
    "derp_current_dup_client_keys",
    "keys with several connections",
    () => source.clients().duplicates.keys,
  );
  gauge(
    "derp_current_dup_client_conns",
    "connections that share a key",
    () => source.clients().duplicates.connections,
  );
  counter(
    "derp_total_dup_client_conns",
    "connections accepted beside one of the same key",
    () => counters.dupClientConns,
  );
  counter("derp_bytes_received", "packet bytes received", () => counters.bytesReceived);
  counter("derp_bytes_sent", "packet bytes sent", () => counters.bytesSent);
  counter("derp_packets_received", "packets received", () => counters.packetsReceived);
  counter("derp_packets_sent", "packets sent", () => counters.packetsSent);
  labelled("derp_packets_received_kind", "packets received, by kind", ["kind"], () => [
    [{ kind: "disco" }, counters.discoReceived],
    [{ kind: "other" }, counters.packetsReceived - counters.discoReceived],
  ]);
  const reasonAndKind = ["reason", "kind"];
  labelled(
    "derp_packets_dropped",
    "packets dropped, by reason and kind",
    reasonAndKind,
    byReason(counters.dropped),
  );
  labelled(
    "derp_bytes_dropped",
    "packet bytes dropped, by reason and kind",
    reasonAndKind,
    byReason(counters.droppedBytes),
  );
  counter("derp_unknown_frames", "frames of unknown types, skipped", () => counters.unknownFrames);
  counter("derp_home_moves_in", "clients that made this their home", () => counters.homeMovesIn);
  counter("derp_home_moves_out", "clients that left this home", () => counters.homeMovesOut);
  counter("derp_got_ping", "pings received", () => counters.gotPing);
  counter("derp_sent_pong", "pongs queued", () => counters.sentPong);
  counter(
    "derp_peer_gone_disconnected_frames",
    "PeerGone frames: a source left",
    () => counters.peerGoneDisconnected,
  );
  counter(
    "derp_peer_gone_not_here_frames",
    "PeerGone frames: an unknown destination",
    () => counters.peerGoneNotHere,
  );
  counter(
    "derp_sclient_write_timeouts",
    "clients closed because they took no data",
    () => counters.writeTimeouts,
  );
  counter("nexd_relay_writes", "writes of gathered frames", () => counters.writes);
  counter("nexd_relay_logins_refused", "logins refused", () => counters.loginsRefused);
  counter("nexd_relay_login_timeouts", "logins not finished in time", () => counters.loginTimeouts);
  counter("nexd_relay_head_timeouts", "requests not finished in time", () => counters.headTimeouts);
  counter(
    "nexd_relay_protocol_errors",
    "clients closed because they broke the protocol",
    () => counters.protocolErrors,
  );
  counter(
    "nexd_relay_control_frames_dropped",
    "control frames dropped, too many waiting",
    () => counters.controlDropped + counters.pingsIgnored,
  );
  labelled(
    "nexd_wireguard_messages_received",
    "packets received, by the WireGuard message type in their clear first bytes",
    ["type"],
    () => WIREGUARD_TYPES.map((type, i) => [{ type }, counters.wireguard[i]!]),
  );
  counter("tls_listener_accepted_connections", "connections taken", () => counters.tlsAccepted);
  labelled("stun_requests", "STUN datagrams, by what became of them", ["disposition"], () => {
    const stun = source.stun();
    return (["success", "not_stun", "read_error", "write_error"] as const).map((
      disposition,
    ): [Record<string, string>, number] => [
      { disposition },
      stun?.requests[disposition] ?? 0,
    ]);
  });
  labelled("stun_addrfamily", "STUN requests answered, by address family", ["family"], () => {
    const stun = source.stun();
    return (["ipv4", "ipv6"] as const).map((family): [Record<string, string>, number] => [
      { family },
      stun?.families[family] ?? 0,
    ]);
  });
  const started = performance.now();
  gauge(
    "uptime_sec",
    "seconds since start",
    () => Math.floor((performance.now() - started) / 1000),
  );
  const version = new client.Gauge({
    name: "version",
    help: "always 1",
    labelNames: ["version", "binary"],
    registers,
  });
  version.set({ version: source.version, binary: "nexd" }, 1);

  return { contentType: registry.contentType, text: () => registry.metrics() };
}
