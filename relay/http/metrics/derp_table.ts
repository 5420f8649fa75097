/**
 * The metrics that the reference relay has too, by its names, types and labels (DERP: exported
 * names), so that its dashboards fit.
 *
 * Not here, because the runtime does not tell, or has no such thing: `derp_tcp_rtt` (no TCP
 * statistics of a connection), `derp_average_queue_duration_ms` (queues are bounded in time
 * instead, see the reason `queue_age`), `derper_tls_request_version` and
 * `derper_tls_active_version` (no TLS version of a connection), `derp_memstats_sys0`,
 * `goroutines`, `go_*` and `memstats_*` (values of the Go runtime), `process_open_fds`,
 * `process_max_fds`, `process_virtual_*` and `process_network_*` (the runtime's permissions keep
 * `/proc` closed), and `cmdline` of the JSON page (a command line may hold secrets).
 */
import { DROP_REASONS, KINDS } from "../../server/mod.ts";
import type { Gauges, Histogram, ProcessState } from "../../state/mod.ts";
import type { CounterField, Metric, MetricsState, Sample } from "./source.ts";

const counterAt = (name: string, field: CounterField, help: string, path: string[]): Metric => ({
  name,
  type: "counter",
  help,
  labels: [],
  path,
  read: ({ snapshot }) => snapshot.counters[field] ?? 0,
});

const derpCounter = (name: string, field: CounterField, help: string): Metric =>
  counterAt(`derp_${name}`, field, help, ["derp", name]);

const derpGauge = (name: string, field: keyof Gauges, help: string): Metric => ({
  name: `derp_${name}`,
  type: "gauge",
  help,
  labels: [],
  path: ["derp", `gauge_${name}`],
  read: ({ snapshot }) => snapshot.gauges[field],
});

const derpHistogram = (
  name: string,
  help: string,
  read: (state: MetricsState) => Histogram,
): Metric => ({
  name: `derp_${name}`,
  type: "histogram",
  help,
  labels: [],
  path: ["derp", `counter_${name}`],
  read,
});

const drops = (name: string, help: string, field: "dropped" | "droppedBytes"): Metric => ({
  name,
  type: "counter",
  help,
  labels: ["reason", "kind"],
  path: [name],
  read: ({ snapshot }) =>
    DROP_REASONS.flatMap((reason, r) =>
      KINDS.map((kind, k): Sample => [[reason, kind], snapshot[field][r * 2 + k] ?? 0])
    ),
});

/** A process' value under the name that every Prometheus client library has for it. */
const ofProcess = (
  name: string,
  type: "counter" | "gauge",
  help: string,
  read: (state: MetricsState) => number | undefined,
): Metric => ({ name, type, help, labels: [], path: undefined, read });

const bootstrap = (name: string, field: CounterField, help: string): Metric =>
  counterAt(`bootstrap_dns_${name}`, field, help, [`counter_bootstrap_dns_${name}`]);

/** Undefined where a process could not count them. */
function sockets(processes: readonly ProcessState[]): number | undefined {
  const counts = processes.map((process) => process.sockets);
  if (counts.length === 0 || counts.includes(undefined)) return undefined;
  return counts.reduce<number>((sum, n) => sum + n!, 0);
}

export const DERP_METRICS: readonly Metric[] = [
  derpCounter("accepts", "accepts", "DERP connections taken"),
  derpCounter("bytes_received", "bytesReceived", "packet bytes received from clients"),
  derpCounter("bytes_sent", "bytesSent", "packet bytes sent to clients"),
  derpCounter("packets_received", "packetsReceived", "packets received from clients"),
  derpCounter("packets_sent", "packetsSent", "packets sent to clients"),
  {
    name: "derp_packets_received_kind",
    type: "counter",
    help: "packets received from clients, by kind",
    labels: ["kind"],
    path: ["derp", "counter_packets_received_kind"],
    read: ({ snapshot: { counters } }) => {
      const disco = counters["discoReceived"] ?? 0;
      return [[["disco"], disco], [["other"], (counters["packetsReceived"] ?? 0) - disco]];
    },
  },
  drops("derp_packets_dropped", "packets dropped, by reason and kind", "dropped"),
  drops("derp_bytes_dropped", "packet bytes dropped, by reason and kind", "droppedBytes"),
  derpGauge("current_connections", "connections", "logged-in connections"),
  derpGauge(
    "current_home_connections",
    "home",
    "connections whose client calls this relay its home",
  ),
  derpGauge(
    "current_notideal_connections",
    "notIdeal",
    "connections whose client would rather be on another node",
  ),
  derpGauge("clients_total", "keysTotal", "distinct keys in the region"),
  derpGauge("clients_local", "keysLocal", "distinct keys on this relay"),
  derpGauge("clients_remote", "keysRemote", "distinct keys on other relays of the region only"),
  derpGauge("watchers", "watchers", "connections that watch who comes and goes"),
  derpGauge("current_dup_client_keys", "duplicateKeys", "keys with several connections"),
  derpGauge("current_dup_client_conns", "duplicateConnections", "connections that share a key"),
  counterAt(
    "derp_total_dup_client_conns",
    "dupClientConns",
    "connections accepted beside one of the same key",
    ["derp", "counter_total_dup_client_conns"],
  ),
  derpCounter("unknown_frames", "unknownFrames", "frames of unknown types, skipped"),
  derpCounter("home_moves_in", "homeMovesIn", "clients that made this their home"),
  derpCounter("home_moves_out", "homeMovesOut", "clients that left this home"),
  derpCounter("got_ping", "gotPing", "pings received"),
  derpCounter("sent_pong", "sentPong", "pongs sent"),
  derpCounter(
    "peer_gone_disconnected_frames",
    "peerGoneDisconnected",
    "PeerGone frames sent because a source left",
  ),
  derpCounter(
    "peer_gone_not_here_frames",
    "peerGoneNotHere",
    "PeerGone frames sent because a destination is unknown",
  ),
  derpCounter(
    "packets_forwarded_out",
    "forwardedOut",
    "packets handed to another relay of the region",
  ),
  derpCounter(
    "packets_forwarded_in",
    "forwardedIn",
    "packets taken from another relay of the region",
  ),
  derpCounter(
    "multiforwarder_created",
    "multiforwarderCreated",
    "keys that came to be reached by several relays",
  ),
  derpCounter(
    "multiforwarder_deleted",
    "multiforwarderDeleted",
    "keys that are reached by one relay again",
  ),
  derpCounter(
    "packet_forwarder_delete_other_value",
    "forwarderDeleteOther",
    "removals of a forwarder that another had replaced",
  ),
  derpCounter(
    "sclient_write_timeouts",
    "writeTimeouts",
    "clients closed because they took no data",
  ),
  counterAt("derp_websocket_accepts", "websocketAccepts", "DERP connections over WebSocket", [
    "derp_websocket_accepts",
  ]),
  derpHistogram("buffered_write_frames", "frames in one write", (s) => s.snapshot.framesPerWrite),
  derpHistogram(
    "mesh_update_batch_size",
    "changes of presence sent to a watcher at once",
    (s) => s.snapshot.meshUpdateBatchSize,
  ),
  derpHistogram(
    "mesh_update_loop_count",
    "rounds that one sending of such changes took",
    (s) => s.snapshot.meshUpdateLoopCount,
  ),
  {
    name: "derp_current_file_descriptors",
    type: "gauge",
    help: "open sockets of all workers; other descriptors are few and not counted",
    labels: [],
    path: ["derp", "gauge_current_file_descriptors"],
    read: (s) => sockets(s.snapshot.processes),
  },
  {
    name: "derp_rate_limit_per_client_bytes_per_second",
    type: "untyped",
    help: "receive rate limit of a client; only while there is one",
    labels: [],
    path: ["derp", "rate_limit_per_client_bytes_per_second"],
    read: (s) => s.rateLimit?.bytesPerSecond,
  },
  {
    name: "derp_rate_limit_per_client_burst_bytes",
    type: "untyped",
    help: "bytes a client may send at once; only while there is a rate limit",
    labels: [],
    path: ["derp", "rate_limit_per_client_burst_bytes"],
    read: (s) => s.rateLimit?.burst,
  },
  {
    name: "derp_rate_limit_per_client_waited",
    type: "counter",
    help: "reads delayed by the rate limit; only while there is one",
    labels: [],
    path: ["derp", "rate_limit_per_client_waited"],
    read: (s) => s.rateLimit === undefined ? undefined : s.snapshot.counters["rateLimitWaits"] ?? 0,
  },
  counterAt("tls_listener_accepted_connections", "tlsAccepted", "TCP connections taken", [
    "tls_listener",
    "counter_accepted_connections",
  ]),
  {
    name: "tls_listener_rejected_connections",
    type: "counter",
    help: "TCP connections closed at once by a limit",
    labels: [],
    path: ["tls_listener", "counter_rejected_connections"],
    read: ({ snapshot: { counters } }) =>
      (counters["acceptLimited"] ?? 0) + (counters["addressLimited"] ?? 0),
  },
  {
    name: "stun_requests",
    type: "counter",
    help: "STUN datagrams, by what became of them",
    labels: ["disposition"],
    path: ["stun", "counter_requests"],
    read: ({ stun }) =>
      (["not_stun", "read_error", "success", "write_error"] as const)
        .map((disposition): Sample => [[disposition], stun?.requests[disposition] ?? 0]),
  },
  {
    name: "stun_addrfamily",
    type: "counter",
    help: "STUN requests answered, by address family",
    labels: ["family"],
    path: ["stun", "counter_addrfamily"],
    read: ({ stun }) =>
      (["ipv4", "ipv6"] as const)
        .map((family): Sample => [[family], stun?.families[family] ?? 0]),
  },
  bootstrap("requests", "bootstrapDnsRequests", "requests for /bootstrap-dns"),
  bootstrap("published_hits", "bootstrapDnsPublishedHits", "queries for a published name"),
  bootstrap(
    "published_misses",
    "bootstrapDnsPublishedMisses",
    "queries for a published name without an address",
  ),
  bootstrap("unpublished_hits", "bootstrapDnsUnpublishedHits", "queries for an unpublished name"),
  bootstrap(
    "unpublished_misses",
    "bootstrapDnsUnpublishedMisses",
    "queries for a name of neither list, or without an address",
  ),
  bootstrap(
    "unpublished_percent_misses",
    "bootstrapDnsUnpublishedPercentMisses",
    "queries for an unpublished name by clients outside its percentage",
  ),
  bootstrap(
    "queried_domains",
    "bootstrapDnsQueriedDomains",
    "distinct names queried, per worker; begins again when there are too many",
  ),
  {
    name: "version",
    type: "gauge",
    help: "always 1",
    labels: ["version", "binary"],
    path: undefined,
    read: (s) => [[[s.version, "nexd"], 1]],
  },
  {
    name: "uptime_sec",
    type: "counter",
    help: "seconds since the relay began",
    labels: [],
    path: ["counter_uptime_sec"],
    read: (s) => Math.max(0, Math.floor((s.now - s.since) / 1000)),
  },
  {
    name: "process_start_unix_time",
    type: "gauge",
    help: "when the relay began, seconds since the Unix epoch",
    labels: [],
    path: ["process_start_unix_time"],
    read: (s) => Math.floor(s.since / 1000),
  },
  ofProcess(
    "process_start_time_seconds",
    "gauge",
    "when the relay began, seconds since the Unix epoch",
    (s) => s.since / 1000,
  ),
  ofProcess(
    "process_cpu_seconds_total",
    "counter",
    "CPU time of all workers that run, seconds",
    (s) => s.snapshot.processes.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
  ),
  ofProcess(
    "process_resident_memory_bytes",
    "gauge",
    "resident memory of all workers",
    (s) => s.snapshot.processes.reduce((sum, { rssBytes }) => sum + rssBytes, 0),
  ),
];
