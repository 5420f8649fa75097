/**
 * The relay's metrics: a table of what there is, and its two forms.
 *
 * @module
 */
import type { ProcessState } from "../../state/mod.ts";
import { DERP_METRICS } from "./derp_table.ts";
import { metricsJson, metricsText, TEXT_TYPE } from "./format.ts";
import { OWN_METRICS } from "./own_table.ts";
import type { Metric, MetricsSource, MetricsState } from "./source.ts";

export type { MetricsSource } from "./source.ts";

/** Every metric, in the order of the page: name, type, help, label names. For documentation too. */
export const METRICS: readonly Metric[] = [...DERP_METRICS, ...OWN_METRICS];

/** The metrics page. */
export interface RelayMetrics {
  /** Content type of {@link RelayMetrics.text}. */
  readonly contentType: string;
  /** Prometheus' text format. */
  text(): Promise<string>;
  /** One JSON object, as expvar has it. */
  json(): Promise<string>;
}

/** Makes the page. Values are read when it is asked for, never on the packet path. */
export function relayMetrics(source: MetricsSource): RelayMetrics {
  const made = Date.now();
  const state = async (): Promise<MetricsState> => {
    const snapshot = await source.snapshot();
    return {
      snapshot,
      stun: source.stun(),
      certificate: source.certificate?.(),
      rateLimit: source.rateLimit?.(),
      descriptors: await openDescriptors(snapshot.processes),
      now: Date.now(),
      since: snapshot.processes.reduce((first, { since }) => Math.min(first, since), made),
      version: source.version,
    };
  };
  return {
    contentType: TEXT_TYPE,
    text: async () => metricsText(METRICS, await state()),
    json: async () => metricsJson(METRICS, await state()),
  };
}

/** Counts the descriptors of the relay's processes. Undefined where the system does not tell. */
async function openDescriptors(processes: readonly ProcessState[]): Promise<number | undefined> {
  let sum = 0;
  for (const { pid } of processes) {
    const directory = `/proc/${pid === Deno.pid ? "self" : pid}/fd`;
    try {
      // Newer kernels tell the number as the directory's size; older ones say 0.
      const { size } = await Deno.stat(directory);
      if (size > 0) sum += size;
      else for await (const _ of Deno.readDir(directory)) sum += 1;
    } catch {
      return undefined;
    }
  }
  return processes.length === 0 ? undefined : sum;
}
