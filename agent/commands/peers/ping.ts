/**
 * `nexd ping`: echoes to one peer, each with the way it went.
 *
 * @module
 */
import {
  describeAgent,
  describePeer,
  msText,
  type PeerStatus,
  socketPathOf,
} from "../../ctl/mod.ts";
import { AgentError, cleanText, usageError } from "../../errors.ts";
import { openPinger, type PingOutcome } from "../../icmp/mod.ts";
import type { CommandContext, Values } from "../context.ts";
import { findPeer, isDirect, pathText } from "./find.ts";

/** Shortest pause between two echoes, ms: this is no load generator. */
const SHORTEST_INTERVAL = 10;

/** What came of all of them. */
interface Tally {
  sent: number;
  times: number[];
  /** The last answer came a direct way. */
  direct: boolean;
}

/** `nexd ping PEER`: fails when nobody answered, or with --until-direct when no way was direct. */
export async function ping(values: Values, context: CommandContext): Promise<number> {
  const socket = socketPathOf(values);
  const status = await describeAgent(socket);
  let peer = findPeer(status, context.args[0]!);
  const six = values.ipv6 === true || context.args[0] === peer.tunnel_ipv6;
  const address = six ? peer.tunnel_ipv6 : peer.tunnel_ipv4 || peer.tunnel_ipv6;
  if (address === "") throw new AgentError(`${nameOf(peer)} has no ${six ? "IPv6 " : ""}address`);
  const count = wholeNumber(values, "count", 0), timeoutMs = wholeNumber(values, "timeout", 1);
  const interval = wholeNumber(values, "interval", SHORTEST_INTERVAL);
  const pinger = openPinger({ device: status.interface });
  const tally: Tally = { sent: 0, times: [], direct: false };
  const { signal } = context;
  try {
    while ((count === 0 || tally.sent < count) && !signal.aborted) {
      const began = performance.now();
      const outcome = await pinger.ping(address, { timeoutMs, signal });
      if (signal.aborted && !outcome.ok) break;
      tally.sent++;
      const before = peer;
      peer = await describePeer(socket, peer.public_key);
      if (outcome.ok) tally.times.push(outcome.rttMs);
      tally.direct = outcome.ok && isDirect(peer);
      tell(context, { peer, before, address, outcome, sequence: tally.sent });
      if (values["until-direct"] === true && tally.direct) break;
      const last = count !== 0 && tally.sent >= count;
      if (!last) await pause(interval - (performance.now() - began), signal);
    }
  } finally {
    await pinger.close();
  }
  summarize(context, peer, tally);
  if (values["until-direct"] === true) return tally.direct ? 0 : 1;
  return tally.times.length > 0 ? 0 : 1;
}

function tell(context: CommandContext, { peer, before, address, outcome, sequence }: {
  peer: PeerStatus;
  before: PeerStatus;
  address: string;
  outcome: PingOutcome;
  sequence: number;
}): void {
  if (context.json) {
    const { method, endpoint, relay } = peer;
    return context.print(JSON.stringify({
      ...{ seq: sequence, hostname: peer.hostname, address, ok: outcome.ok },
      ...(outcome.ok ? { rtt_ms: rounded(outcome.rttMs) } : { error: outcome.error }),
      ...{ direct: isDirect(peer), method, endpoint },
      ...(relay === undefined ? {} : { relay }),
    }));
  }
  if (before.method !== peer.method && sequence > 1) {
    context.print(`-- path changed: ${before.method} -> ${peer.method}: ${peer.reason}`);
  }
  context.print(
    outcome.ok
      ? `${nameOf(peer)} (${address}): ${msText(outcome.rttMs)} via ${pathText(peer)}`
      : `${nameOf(peer)} (${address}): ${outcome.error}; ${pathText(peer)}`,
  );
}

function summarize(context: CommandContext, peer: PeerStatus, { sent, times }: Tally): void {
  if (sent === 0) return;
  const received = times.length;
  const average = times.reduce((sum, ms) => sum + ms, 0) / received;
  const [least, most] = [Math.min(...times), Math.max(...times)];
  if (context.json) {
    return context.print(JSON.stringify({
      ...{ summary: true, hostname: peer.hostname, sent, received },
      ...(received === 0 ? {} : {
        min_ms: rounded(least),
        avg_ms: rounded(average),
        max_ms: rounded(most),
      }),
    }));
  }
  const lost = Math.round((sent - received) / sent * 100);
  const spread = received === 0
    ? ""
    : `, ${[least, average, most].map((ms) => msText(ms).replace(" ms", "")).join(" / ")} ms ` +
      "(least / average / most)";
  context.print(`${received} of ${sent} answered, ${lost} % lost${spread}`);
}

const nameOf = ({ hostname, public_key }: PeerStatus) => cleanText(hostname, 40) || public_key;

const rounded = (ms: number) => Math.round(ms * 1000) / 1000;

function wholeNumber(values: Record<string, unknown>, name: string, least: number): number {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= least && value <= 86_400_000) return value;
  throw usageError(`--${name} ${value} cannot be; give a whole number from ${least} up`);
}

/** Lets time pass until the signal aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
