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
  rtt?: { min: number; avg: number; max: number };
}

/** One direction of an iperf3 TCP run, as received. */
export interface IperfResult {
  mbitPerS: number;
  /** Seconds of the run. */
  seconds: number;
  retransmits: number;
}

/**
 * Reads the summary of iputils' ping.
 *
 * @throws {Error} when there is none; the message holds what there was
 */
export function parsePing(text: string): PingResult {
  const counts = text.match(/(\d+) packets transmitted, (\d+) received/);
  if (!counts) throw new Error(`Cannot read ping's summary: ${text.trim().slice(-200) || "empty"}`);
  const sent = Number(counts[1]), received = Number(counts[2]);
  const rtt = text.match(/rtt min\/avg\/max\/mdev = ([\d.]+)\/([\d.]+)\/([\d.]+)\//);
  return {
    sent,
    received,
    lossPercent: sent === 0 ? 0 : 100 * (sent - received) / sent,
    ...(rtt ? { rtt: { min: Number(rtt[1]), avg: Number(rtt[2]), max: Number(rtt[3]) } } : {}),
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
