/**
 * Status for people: aligned text, in the order of the questions one asks.
 *
 * @module
 */
import { cleanText } from "../errors.ts";
import type { AgentStatus, NetcheckStatus, PeerStatus } from "./types.ts";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes with a binary unit. */
function bytesText(bytes: number): string {
  let value = bytes, unit = 0;
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** How long ago, in one unit; `never` for null. */
function ageText(then: number | null, now: number): string {
  if (then === null) return "never";
  const seconds = Math.max(0, Math.round((now - then) / 1000));
  if (seconds < 120) return `${seconds}s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m ago`;
  return `${Math.round(seconds / 3600)}h ago`;
}

/** Rows as aligned columns; the last column is not padded. */
export function table(header: string[], rows: string[][]): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, i) => Math.max(...all.map((row) => (row[i] ?? "").length)));
  return all.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ").trimEnd());
}

/** `nexd status`. */
export function renderStatus(status: AgentStatus, now: number): string[] {
  const { control, relay } = status;
  const rtt = relay?.rttMs === undefined ? "" : `, ${relay.rttMs.toFixed(1)} ms`;
  const facts: [string, string][] = [
    ["status", status.status + because(status.error)],
    ["host", `${status.hostname}  ${status.public_key}`],
    [
      "tunnel",
      [status.tunnel_ipv4, status.tunnel_ipv6].filter((ip) => ip !== "").join("  ") || "-",
    ],
    ["interface", `${status.interface}, UDP port ${status.listen_port}`],
    [
      "nat",
      `${status.nat}${status.reflexive === "" ? "" : `, seen as ${status.reflexive}`}${
        status.relay_only ? ", relays only" : ""
      }`,
    ],
    ...(status.reflexive6 === undefined
      ? []
      : [["", `over IPv6 ${status.reflexive6}`] as [string, string]]),
    ...(status.netcheck === undefined
      ? []
      : [["stun", stunText(status.netcheck, now)] as [string, string]]),
    ["control", `${control.url}  ${control.state}${because(control.error)}`],
    [
      "relay",
      relay === null
        ? "none"
        : `${relay.host}:${relay.port}  ${relay.state}${rtt}${because(relay.error)}  ` +
          `capture ${status.capture}`,
    ],
  ];
  const lines = facts.map(([name, text]) => `${name.padEnd(10)} ${text}`);
  return [...lines, "", ...renderPeers(status, now)];
}

/** How the NAT's kind and address are known, and what is wrong with that. */
function stunText(netcheck: NetcheckStatus, now: number): string {
  const { servers, method_reason, last_round_ms, publish_error, published } = netcheck;
  if (netcheck.method === "first-result") {
    const why = method_reason === undefined ? "" : `: ${method_reason}`;
    return `measured at the start only${why}`;
  }
  const good = servers.filter((one) => one.seen !== undefined && one.error === undefined);
  const rtts = good.flatMap(({ rtt_ms }) => rtt_ms ?? []);
  const parts = [
    `${good.length} of ${servers.length} answered`,
    ...(rtts.length === 0 ? [] : [`${Math.min(...rtts).toFixed(1)} ms`]),
    ageText(last_round_ms, now),
    ...(netcheck.error === undefined ? [] : [`failing: ${failureOf(netcheck)}`]),
    ...(published === "current" ? [] : [`not published yet${because(publish_error)}`]),
  ];
  return parts.join(", ");
}

/** Why nobody answered, in a few words: a line has 80 columns. */
function failureOf({ ipv4, ipv6, error = "" }: NetcheckStatus): string {
  return cleanText(ipv4.error ?? ipv6.error ?? error, 32);
}

/** A reason in brackets, where there is one. */
function because(error: string | undefined): string {
  return error === undefined ? "" : ` (${error})`;
}

/** `nexd peers list`. */
export function renderPeers(status: AgentStatus, now: number): string[] {
  if (status.peers.length === 0 && status.skipped.length === 0) return ["no peers"];
  const rows = status.peers.map((peer: PeerStatus) => [
    peer.hostname,
    peer.tunnel_ipv4 || peer.tunnel_ipv6,
    peer.method,
    peer.endpoint || "-",
    peer.relay ?? "-",
    ageText(peer.last_handshake_ms, now),
    bytesText(peer.rx_bytes),
    bytesText(peer.tx_bytes),
    peer.healthy ? "yes" : "no",
    peer.reason,
  ]);
  const header = [
    "PEER",
    "TUNNEL IP",
    "METHOD",
    "ENDPOINT",
    "RELAY",
    "HANDSHAKE",
    "RX",
    "TX",
    "HEALTHY",
    "WHY",
  ];
  const left = status.skipped.map((peer) =>
    `not used: ${peer.hostname || peer.public_key}: ${peer.reason}`
  );
  return [...(rows.length > 0 ? table(header, rows) : []), ...left];
}
