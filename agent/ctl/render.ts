/**
 * Status for people: aligned text, in the order of the questions one asks.
 *
 * @module
 */
import { cleanText } from "../errors.ts";
import { ageText, bytesText, cut, facts, msText, spanText, table, wrap } from "./text.ts";
import type { AgentStatus, NetcheckStatus, PeerStatus } from "./types.ts";

/** `nexd status`. */
export function renderStatus(status: AgentStatus, now: number, columns = 80): string[] {
  const { control, relay, login } = status;
  const lines: [string, string][] = [
    ["status", status.status + because(status.error)],
    ...(login === undefined ? [] : loginText(login)),
    ["host", `${cut(cleanText(status.hostname), 22)}  ${status.public_key}`],
    [
      "tunnel",
      [status.tunnel_ipv4, status.tunnel_ipv6].filter((ip) => ip !== "").join("  ") || "-",
    ],
    [
      "interface",
      [status.interface, ...(status.driver === undefined ? [] : [status.driver])].join(", ") +
      `, UDP port ${status.listen_port}`,
    ],
    ...(status.scheduling === undefined
      ? []
      : [["", `scheduling ${status.scheduling}`] as [string, string]]),
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
    ["relay", relay === null ? "none" : relayText(relay, status.capture)],
    ...(relay?.reason === undefined ? [] : [["", relay.reason] as [string, string]]),
    ...othersText(status),
    ...(status.host ?? []).map((note, i): [string, string] => [i === 0 ? "changes" : "", note]),
  ];
  return [...facts(lines, columns), "", ...renderWays(status, now, columns)];
}

function loginText({ url, code }: NonNullable<AgentStatus["login"]>): [string, string][] {
  return [["sign in", url], ...(code === undefined ? [] : [["code", code] as [string, string]])];
}

function relayText(relay: NonNullable<AgentStatus["relay"]>, capture: string): string {
  const rtt = relay.rttMs === undefined ? "" : `, ${msText(relay.rttMs)}`;
  return `${relay.host}:${relay.port}  ${relay.state}${rtt}${because(relay.error)}  ` +
    `capture ${capture}`;
}

/** The relays beside the one this host is at home at, a line each. */
function othersText({ relay, relays = [] }: AgentStatus): [string, string][] {
  return relays
    .filter(({ host, port }) => host !== relay?.host || port !== relay.port)
    .map(({ host, port, role, state, rtt_ms, error }, i) => [
      i === 0 ? "others" : "",
      `${host}:${port}  ${role === state ? role : `${role}, ${state}`}${
        rtt_ms === null ? "" : `, ${msText(rtt_ms)}`
      }` +
      because(error),
    ]);
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
    ...(rtts.length === 0 ? [] : [msText(Math.min(...rtts))]),
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

const HEADER = ["PEER", "TUNNEL IP", "METHOD", "SEEN", "RX", "TX", "OK"];

/** The table of peers, a line each below the header, and who is no peer. */
function peerTable(status: AgentStatus, now: number, columns: number): [string[], string[]] {
  const rows = status.peers.map((peer: PeerStatus) => [
    peer.hostname,
    peer.tunnel_ipv4 || peer.tunnel_ipv6 || "-",
    peer.method,
    peer.last_handshake_ms === null ? "never" : spanText(now - peer.last_handshake_ms),
    bytesText(peer.rx_bytes),
    bytesText(peer.tx_bytes),
    peer.healthy ? "yes" : "no",
  ]);
  const left = status.skipped.flatMap((peer) =>
    wrap(`not used: ${cleanText(peer.hostname || peer.public_key, 63)}: ${peer.reason}`, {
      columns,
    })
  );
  return [rows.length > 0 ? table(HEADER, rows, { columns }) : [], left];
}

/** `nexd peers list`: SEEN is how long ago the last handshake was. */
export function renderPeers(status: AgentStatus, now: number, columns = 80): string[] {
  const [rows, left] = peerTable(status, now, columns);
  return rows.length + left.length === 0 ? ["no peers"] : [...rows, ...left];
}

/** The same, and below each peer where it is, why this way, and why not a better one. */
function renderWays(status: AgentStatus, now: number, columns: number): string[] {
  const [[header = "", ...rows], left] = peerTable(status, now, columns);
  if (rows.length + left.length === 0) return ["no peers"];
  return [
    ...(rows.length === 0 ? [] : [header]),
    ...rows.flatMap((row, i) => [row, ...wayLines(status.peers[i]!, columns)]),
    ...left,
  ];
}

function wayLines(peer: PeerStatus, columns: number): string[] {
  const at = peer.endpoint === "" ? "" : `at ${peer.endpoint}: `;
  return [
    `${at}${peer.reason}`,
    ...(peer.paths === undefined || peer.paths.length === 0 ? [] : [pathsText(peer.paths)]),
    ...(peer.better ?? []).map(({ method, reason }) => `not ${method}: ${reason}`),
    ...(peer.notes ?? []).map((note) => `note: ${note}`),
  ].flatMap((line) => wrap(line, { columns, indent: "    " }));
}

/** Most endpoints that are shown. */
const MAX_PATHS = 3;

function pathsText(paths: NonNullable<PeerStatus["paths"]>): string {
  const nearest = [...paths].sort((a, b) => a.rtt_ms - b.rtt_ms).slice(0, MAX_PATHS);
  return `probes answered: ${
    nearest.map(({ endpoint, rtt_ms }) => `${endpoint} in ${msText(rtt_ms)}`).join(", ")
  }`;
}
