/**
 * Traffic through both agents and a relay: ours, the reference, and direct wireguard-go, in turns.
 *
 * @module
 */

import { PEER_VARIABLES } from "../../peers.ts";
import { type BenchRow, type Figure, figureOf } from "../table.ts";
import { runPing, runPingBeside, runTcp, runUdp } from "./meter.ts";
import {
  type Name,
  type Part,
  startDirect,
  startOurs,
  startTheirs,
  type Subject,
} from "./subjects.ts";

/** The variable that names the reference agent. */
export const REFERENCE_VARIABLE = "NEXD_TEST_GO_ALIASFIX";

/** How much is measured. */
export interface TrafficOptions {
  rounds: number;
  /** Seconds of each run. */
  seconds: number;
  /** TCP's congestion control, as the kernel names it. */
  congestion?: string;
  say: (line: string) => void;
}

/** All figures of one round, by name. */
type Round = Record<string, number>;

/** What the reference can carry too: pings beside the same load tell of delay alone. */
const SAME_LOAD = 80;

const AGENTS: Part[] = ["sending agent", "receiving agent", "relay"];
const ALL_PARTS: Part[] = [...AGENTS, "sending WireGuard", "receiving WireGuard"];

async function measure(subject: Subject, options: TrafficOptions): Promise<Round> {
  const { seconds, congestion } = options;
  const tcp = await runTcp(subject, seconds, congestion);
  const udpLost = await runUdp(subject, seconds, 100);
  const idle = await runPing(subject, seconds);
  const beside = await runPingBeside(subject, seconds, congestion);
  const same = await runPingBeside(subject, seconds, congestion, SAME_LOAD);
  const round: Round = {
    tcp: tcp.mbitPerS,
    retransmits: tcp.retransmits,
    udpLost,
    idleP50: idle.rtt?.p50 ?? NaN,
    idleP99: idle.rtt?.p99 ?? NaN,
    idleLost: idle.lossPercent,
    besideTcp: beside.mbitPerS,
    besideP50: beside.rtt?.p50 ?? NaN,
    besideP99: beside.rtt?.p99 ?? NaN,
    besideLost: beside.lossPercent,
    sameTcp: same.mbitPerS,
    sameP50: same.rtt?.p50 ?? NaN,
    sameP99: same.rtt?.p99 ?? NaN,
    sameLost: same.lossPercent,
  };
  for (const [part, value] of Object.entries(tcp.cpuPerGb)) round[part] = value;
  return round;
}

/** Measures, about 6 times `seconds` for each of the three and round. */
export async function benchTraffic(options: TrafficOptions): Promise<BenchRow[]> {
  const { rounds, say } = options;
  const program = Deno.env.get(REFERENCE_VARIABLE);
  const derper = Deno.env.get(PEER_VARIABLES.derper);
  await using stack = new AsyncDisposableStack();
  const subjects: Subject[] = [];
  const add = async (subject: Promise<Subject>) => subjects.push(stack.use(await subject));
  await add(startOurs());
  if (program && derper) await add(startTheirs(program, derper));
  else {
    const missing = program ? PEER_VARIABLES.derper : REFERENCE_VARIABLE;
    say(`the reference is left out: ${missing} names no program`);
  }
  await add(startDirect());
  const results: Partial<Record<Name, Round[]>> = {};
  for (let round = 0; round < rounds; round++) {
    // Who is first changes with each round: nobody always finds the quieter machine.
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
      say(`round ${round + 1} of ${rounds}: ${subject.name}`);
      const result = await measure(subject, options);
      say("  " + Object.entries(result).map(([k, v]) => `${k} ${v.toFixed(2)}`).join(", "));
      (results[subject.name] ??= []).push(result);
    }
  }
  return rowsOf(results);
}

/** A bound for ours, or for ours to another. */
interface Bound {
  ratioAtMost?: number;
  ratioAtLeast?: number;
  atMost?: number;
  below?: number;
}

/** The table's rows. */
export function rowsOf(results: Partial<Record<Name, Round[]>>): BenchRow[] {
  const figure = (name: Name, field: string): Figure | undefined => {
    const values = results[name]?.map((round) => round[field]!).filter((v) => !Number.isNaN(v));
    return values === undefined || values.length === 0 ? undefined : figureOf(values);
  };
  const row = (what: string, unit: string, field: string, bound: Bound = {}): BenchRow[] => {
    const ours = figure("ours", field);
    if (ours === undefined) return [];
    const reference = figure("theirs", field);
    return [
      judged({ what, unit, value: ours.median, ours, ...(reference && { reference }) }, bound),
    ];
  };
  const plain = (name: Name, what: string, unit: string, field: string): BenchRow[] => {
    const value = figure(name, field);
    return value === undefined ? [] : [{ what, unit, value: value.median, ours: value }];
  };
  const ofDirect = (): BenchRow[] => {
    const direct = results.direct;
    const ratios = results.ours?.map((round, i) => round["tcp"]! / direct![i]!["tcp"]!) ?? [];
    if (direct === undefined || ratios.length === 0) return [];
    const ours = figureOf(ratios);
    const met = ours.median >= 0.65;
    return [{ what: "TCP, of direct", unit: "", value: ours.median, ours, goal: ">= 0.65", met }];
  };
  return [
    ...row("TCP", "Mbit/s", "tcp", { ratioAtLeast: 2 }),
    ...plain("direct", "TCP, direct wireguard-go", "Mbit/s", "tcp"),
    ...ofDirect(),
    ...AGENTS.flatMap((part) => row(part, "CPU s/GB", part, { ratioAtMost: 1 / 3 })),
    ...ALL_PARTS.slice(AGENTS.length).flatMap((part) => [
      ...row(part, "CPU s/GB", part),
      ...plain("direct", `${part}, direct`, "CPU s/GB", part),
    ]),
    ...row("UDP at 100 Mbit/s, lost", "%", "udpLost", { atMost: 0 }),
    ...row("ping, idle, p50", "ms", "idleP50"),
    ...row("ping, idle, p99", "ms", "idleP99"),
    ...row("ping, idle, lost", "%", "idleLost"),
    ...row("TCP beside ping", "Mbit/s", "besideTcp"),
    ...row("ping beside TCP, p50", "ms", "besideP50"),
    ...row("ping beside TCP, p99", "ms", "besideP99", { ratioAtMost: 0.5 }),
    ...row("ping beside TCP, lost", "%", "besideLost", { below: 1 }),
    ...row("ping beside 80 Mbit/s, p50", "ms", "sameP50"),
    ...row("ping beside 80 Mbit/s, p99", "ms", "sameP99", { ratioAtMost: 0.5 }),
    ...row("ping beside 80 Mbit/s, lost", "%", "sameLost", { below: 1 }),
    ...row("that TCP", "Mbit/s", "sameTcp"),
    ...plain("direct", "ping beside TCP, p99, direct", "ms", "besideP99"),
    ...plain("direct", "ping beside TCP, lost, direct", "%", "besideLost"),
  ];
}

function judged(row: BenchRow, bound: Bound): BenchRow {
  const { ours, reference } = row;
  const { ratioAtMost, ratioAtLeast, atMost, below } = bound;
  const ratio = reference === undefined || reference.median === 0
    ? undefined
    : ours!.median / reference.median;
  const goals = [
    ratioAtMost && `ratio <= ${ratioAtMost.toFixed(2)}`,
    ratioAtLeast && `ratio >= ${ratioAtLeast}`,
    atMost !== undefined && `<= ${atMost}`,
    below !== undefined && `< ${below}`,
  ].filter(Boolean);
  let met: boolean | undefined;
  if (atMost !== undefined) met = ours!.median <= atMost;
  if (below !== undefined) met = ours!.median < below;
  if (ratio !== undefined && ratioAtMost) met = ratio <= ratioAtMost;
  if (ratio !== undefined && ratioAtLeast) met = ratio >= ratioAtLeast;
  return {
    ...row,
    ...(ratio !== undefined && { ratio }),
    ...(goals.length > 0 && { goal: goals.join(", ") }),
    ...(met !== undefined && { met }),
  };
}
