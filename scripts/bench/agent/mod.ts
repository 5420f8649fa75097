/**
 * What the agent's data path does, ours and the reference's in one run.
 *
 * @module
 */

import type { BenchRow } from "../table.ts";
import { benchCrowd, CROWDS } from "./crowd/mod.ts";
import { benchHeap } from "./heap.ts";
import { CONGESTION } from "./meter.ts";
import { benchTraffic } from "./traffic.ts";

/** How much is measured. */
export interface AgentBenchOptions {
  /** Longer runs and more packets. */
  full?: boolean;
  /** How often each of the three is measured. */
  rounds?: number;
  /** Only parts whose name holds this text: traffic, heap, crowd (absent or idle). */
  only?: string;
  /** The congestion control of the TCP that is measured; cubic when left out. */
  congestion?: string;
  /** Told what is being measured. */
  say?: (line: string) => void;
}

/** Measures the agent. */
export async function benchAgent(options: AgentBenchOptions = {}): Promise<BenchRow[]> {
  const { full = false, only = "", say = () => {} } = options;
  const { rounds = full ? 5 : 2, congestion = CONGESTION } = options;
  const rows: BenchRow[] = [];
  if ("traffic".includes(only)) {
    rows.push(...await benchTraffic({ rounds, seconds: full ? 10 : 5, congestion, say }));
  }
  if ("heap".includes(only)) {
    rows.push(...await benchHeap({ packets: full ? 10_000_000 : 1_000_000, say }));
  }
  for (const kind of CROWDS) {
    if (`crowd ${kind}`.includes(only)) rows.push(...await benchCrowd({ peers: 1000, kind, say }));
  }
  return rows;
}
