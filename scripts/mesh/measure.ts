/**
 * What `ping` and `iperf3` print, as numbers.
 *
 * @module
 */

/** The summary of one ping run. */
export interface PingResult {
  sent: number;
  received: number;
  lossPercent: number;
  /** Round trip in ms; undefined when nothing came back. */
  rtt?: { min: number; avg: number; max: number; p50: number; p99: number };
}

/** One direction of an iperf3 TCP run, as received. */
export interface IperfResult {
  mbitPerS: number;
  /** Seconds of the run. */
  seconds: number;
  retransmits: number;
}

/** How many times its nominal length a run of pings may take. */
export const PING_SLACK = 3;

/** Arguments that make iputils' ping send `count` echoes and wait for the last answer too. */
export function pingArguments(address: string, count: number, intervalMs: number): string[] {
  // Once it has had answers, `ping -c` alone waits no longer for the last one than two round trips
  // or one interval, whatever -W says: on a busy machine, at 10 ms, it leaves before that answer is
  // in and calls it lost. With a deadline it goes on (and sends more) until it has `count` answers.
  // A busy machine keeps no interval of 10 ms, so the deadline leaves room.
  const deadline = Math.ceil(PING_SLACK * count * intervalMs / 1000) + 3;
  return ["-n", "-c", `${count}`, "-i", `${intervalMs / 1000}`, "-w", `${deadline}`, address];
}

/**
 * Reads what ping printed for {@linkcode pingArguments}: of the first `count` echoes, by number,
 * how many were answered. What it sent beyond them only kept it waiting.
 *
 * @throws {Error} when ping did not run; the message holds its words
 */
export function parsePing(text: string, count: number): PingResult {
  const transmitted = text.match(/(\d+) packets transmitted/)?.[1];
  if (transmitted === undefined) {
    throw new Error(`Cannot read ping's summary: ${text.trim().slice(-200) || "empty"}`);
  }
  const times = new Map<number, number>(); // by number: a duplicate is no second answer
  for (const [, seq, time] of text.matchAll(/icmp_seq=(\d+) .*?time=([\d.]+) ms/g)) {
    if (Number(seq) <= count && !times.has(Number(seq))) times.set(Number(seq), Number(time));
  }
  const sent = Math.min(count, Number(transmitted));
  const received = times.size;
  const all = [...times.values()].sort((x, y) => x - y);
  const at = (share: number) => all[Math.min(received - 1, Math.floor(share * received))]!;
  const avg = all.reduce((sum, time) => sum + time, 0) / received;
  return {
    sent,
    received,
    lossPercent: sent === 0 ? 100 : 100 * (sent - received) / sent,
    ...(received > 0
      ? { rtt: { min: all[0]!, avg, max: all.at(-1)!, p50: at(0.5), p99: at(0.99) } }
      : {}),
  };
}

/**
 * Reads `iperf3 --json`.
 *
 * @throws {Error} with iperf3's own words when it failed
 */
export function parseIperf(text: string): IperfResult {
  // deno-lint-ignore no-explicit-any -- iperf3's own shape, checked where it is used
  let report: any;
  try {
    report = JSON.parse(text);
  } catch {
    throw new Error(`Cannot read iperf3's report: ${text.trim().slice(0, 200) || "empty"}`);
  }
  const received = report.end?.sum_received;
  if (report.error || typeof received?.bits_per_second !== "number") {
    throw new Error(`Cannot measure with iperf3: ${report.error ?? "no result"}`);
  }
  return {
    mbitPerS: received.bits_per_second / 1e6,
    seconds: received.seconds,
    retransmits: report.end.sum_sent?.retransmits ?? 0,
  };
}

/** Reads Prometheus text: `name{label="x"}` as written there, to value. */
export function parseMetrics(text: string): Map<string, number> {
  const metrics = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const at = line.lastIndexOf(" ");
    metrics.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return metrics;
}
