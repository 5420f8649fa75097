/** The metrics that are ours alone. */
import { WIREGUARD_TYPES } from "../../server/mod.ts";
import type { Gauges, LinkState } from "../../state/mod.ts";
import type { CounterField, Metric, MetricsState, Sample } from "./source.ts";

const PREFIX = "nexd_relay_";

const counter = (name: string, field: CounterField, help: string): Metric => ({
  name: PREFIX + name,
  type: "counter",
  help,
  labels: [],
  path: ["nexd_relay", name],
  read: ({ snapshot }) => snapshot.counters[field] ?? 0,
});

const gauge = (name: string, field: keyof Gauges, help: string): Metric => ({
  name: PREFIX + name,
  type: "gauge",
  help,
  labels: [],
  path: ["nexd_relay", name],
  read: ({ snapshot }) => snapshot.gauges[field],
});

/** Counters of one kind of event, told apart by a reason. */
const byReason = (
  name: string,
  help: string,
  reasons: readonly (readonly [string, CounterField])[],
): Metric => ({
  name: PREFIX + name,
  type: "counter",
  help,
  labels: ["reason"],
  path: ["nexd_relay", name],
  read: ({ snapshot: { counters } }) =>
    reasons.map(([reason, field]): Sample => [[reason], counters[field] ?? 0]),
});

const perWorker = (
  name: string,
  type: "counter" | "gauge",
  help: string,
  field: "cpuSeconds" | "rssBytes",
): Metric => ({
  name: PREFIX + name,
  type,
  help,
  labels: ["pid"],
  path: ["nexd_relay", name],
  read: ({ snapshot }) =>
    snapshot.processes.map((process): Sample => [[String(process.pid)], process[field]]),
});

const LINK_STATES = ["connected", "connecting", "self", "closed"] as const;

const links = (
  name: string,
  help: string,
  of: (state: MetricsState) => readonly LinkState[],
): Metric => ({
  name: PREFIX + name,
  type: "gauge",
  help,
  labels: ["state"],
  path: ["nexd_relay", name],
  read: (state) =>
    LINK_STATES.map((link): Sample => [[link], of(state).filter((l) => l.state === link).length]),
});

export const OWN_METRICS: readonly Metric[] = [
  {
    name: PREFIX + "login_seconds",
    type: "histogram",
    help: "seconds from the TCP accept to the registration of a client",
    labels: [],
    path: ["nexd_relay", "login_seconds"],
    read: ({ snapshot }) => snapshot.loginSeconds,
  },
  byReason("logins_refused", "logins not completed, by reason", [
    ["invalid", "loginsRefused"],
    ["timeout", "loginTimeouts"],
    ["admission", "admissionRefused"],
  ]),
  counter(
    "admission_failed_open",
    "admissionFailedOpen",
    "logins let in because admission could not be asked",
  ),
  byReason("connections_refused", "TCP connections closed at once, by the limit that did it", [
    ["accept_rate", "acceptLimited"],
    ["address", "addressLimited"],
  ]),
  gauge("logging_in", "loggingIn", "connections whose login is not finished"),
  gauge("http_streams", "httpStreams", "ordinary HTTP connections open"),
  gauge("queued_packets", "queuedPackets", "packets waiting for their clients"),
  gauge("queued_bytes", "queuedBytes", "bytes waiting for their clients"),
  counter("writes", "writes", "writes of gathered frames"),
  counter("head_timeouts", "headTimeouts", "request heads not finished in time"),
  counter(
    "protocol_errors",
    "protocolErrors",
    "clients closed because they broke the protocol",
  ),
  {
    name: PREFIX + "control_frames_dropped",
    type: "counter",
    help: "control frames dropped because too many were waiting",
    labels: [],
    path: ["nexd_relay", "control_frames_dropped"],
    read: ({ snapshot: { counters } }) =>
      (counters["controlDropped"] ?? 0) + (counters["pingsIgnored"] ?? 0),
  },
  counter("restarts_announced", "restartingSent", "Restarting frames sent to clients"),
  counter("mesh_updates", "meshUpdates", "changes of presence sent to watchers"),
  counter("sibling_packets_out", "siblingOut", "packets handed to another worker of this relay"),
  counter("sibling_packets_in", "siblingIn", "packets taken from another worker of this relay"),
  links("mesh_links", "links to other relays of the region, by state", (s) => s.snapshot.mesh),
  links(
    "sibling_links",
    "links between the workers of this relay, by state",
    (s) => s.snapshot.siblings,
  ),
  perWorker(
    "worker_cpu_seconds",
    "counter",
    "CPU time of a worker process, seconds",
    "cpuSeconds",
  ),
  perWorker(
    "worker_resident_bytes",
    "gauge",
    "resident memory of a worker process",
    "rssBytes",
  ),
  {
    name: PREFIX + "certificate_expiry_unix_time",
    type: "gauge",
    help: "end of the certificate's validity, seconds since the Unix epoch; only with TLS",
    labels: [],
    path: ["nexd_relay", "certificate_expiry_unix_time"],
    read: ({ certificate }) =>
      certificate === undefined || certificate.notAfter === 0
        ? undefined
        : Math.floor(certificate.notAfter / 1000),
  },
  {
    name: "nexd_wireguard_messages_received",
    type: "counter",
    help: "packets received, by the WireGuard message type in their clear first bytes",
    labels: ["type"],
    path: ["nexd_wireguard_messages_received"],
    read: ({ snapshot }) =>
      WIREGUARD_TYPES.map((type, i): Sample => [[type], snapshot.wireguard[i] ?? 0]),
  },
];
