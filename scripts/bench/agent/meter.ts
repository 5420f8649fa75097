/**
 * What a run through the tunnel brings, and what processes spend meanwhile.
 *
 * @module
 */

import { parseIperf, parsePing, pingArguments, type PingResult } from "../../mesh/measure.ts";

import type { Host, Part, Subject } from "./subjects.ts";

/** Ticks of `/proc/PID/stat` in a second; the same on every Linux that Deno runs on. */
const TICKS = 100;

/** CPU seconds of a process, in user and kernel mode. */
export function cpuSeconds(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Resident memory of a process, MB. */
export function residentMb(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
}

/** CPU seconds of each part. */
export function cpuOf(subject: Subject): Partial<Record<Part, number>> {
  return Object.fromEntries(
    Object.entries(subject.parts).map((
      [part, pids],
    ) => [part, pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)]),
  );
}

/** Which congestion control the load's sender has, unless another is asked for: that of most systems. */
export const CONGESTION = "cubic";

async function iperf(subject: Subject, seconds: number, flags: string[]): Promise<string> {
  const server = await subject.to.spawn(
    ["iperf3", "-s", "-1", "-B", subject.address, "--forceflush"],
    { log: `iperf-${crypto.randomUUID()}` },
  );
  try {
    await server.waitFor(/listening/, 5_000);
    const { stdout } = await subject.from.run([
      ...["iperf3", "-J", "-c", subject.address, "-t", String(seconds), ...flags],
      ...["--connect-timeout", "5000"],
    ], { timeoutMs: seconds * 1000 + 20_000 });
    return stdout;
  } finally {
    server.kill("SIGKILL");
    await server.exited;
  }
}

/** TCP through the tunnel. */
export interface TcpRun {
  mbitPerS: number;
  retransmits: number;
  /** CPU seconds for each 10^9 bytes received. */
  cpuPerGb: Partial<Record<Part, number>>;
}

/** Runs TCP for some seconds. */
export async function runTcp(
  subject: Subject,
  seconds: number,
  congestion: string = CONGESTION,
): Promise<TcpRun> {
  const before = cpuOf(subject);
  const { mbitPerS, retransmits, seconds: took } = parseIperf(
    await iperf(subject, seconds, ["-C", congestion]),
  );
  const after = cpuOf(subject);
  const gb = mbitPerS * took / 8000;
  const cpuPerGb = Object.fromEntries(
    (Object.keys(after) as Part[]).map((part) => [part, (after[part]! - before[part]!) / gb]),
  );
  return { mbitPerS, retransmits, cpuPerGb };
}

/**
 * UDP at a rate; percent lost. iperf3's own receive buffer is large: what the load generator loses
 * when it has not its turn is nobody's.
 */
export async function runUdp(subject: Subject, seconds: number, mbitPerS: number): Promise<number> {
  const report = JSON.parse(
    await iperf(subject, seconds, ["-u", "-b", `${mbitPerS}M`, "-w", "1M"]),
  );
  const lost = report.end?.sum?.lost_percent;
  if (typeof lost !== "number") {
    throw new Error(`Cannot measure with iperf3: ${report.error ?? "no result"}`);
  }
  return lost;
}

/** Pings at 10 ms for about some seconds. */
export async function runPing(subject: Subject, seconds: number): Promise<PingResult> {
  return await pingFrom(subject.from, subject.address, seconds * 100);
}

async function pingFrom(host: Host, address: string, count: number): Promise<PingResult> {
  const { stdout, stderr } = await host.run(["ping", ...pingArguments(address, count, 10)], {
    timeoutMs: count * 30 + 15_000,
  });
  return parsePing(stdout + stderr, count);
}

/**
 * Pings beside TCP, begun when that has its speed.
 *
 * @param mbitPerS the rate that TCP keeps to; 0: all it can have
 */
export async function runPingBeside(
  subject: Subject,
  seconds: number,
  congestion: string = CONGESTION,
  mbitPerS = 0,
): Promise<PingResult & { mbitPerS: number }> {
  const flags = ["-C", congestion, "-b", `${mbitPerS}M`];
  const beside = iperf(subject, seconds + 2, flags);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const pings = await runPing(subject, seconds);
  return { ...pings, mbitPerS: parseIperf(await beside).mbitPerS };
}
