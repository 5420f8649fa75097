/**
 * The relay's metrics: a table of what there is, and its two forms.
 *
 * @module
 */
import { DERP_METRICS } from "./derp_table.ts";
import { metricsJson, metricsText, TEXT_TYPE } from "./format.ts";
import { OWN_METRICS } from "./own_table.ts";
import type { Metric, MetricsSource, MetricsState } from "./source.ts";

export type { MetricsSource } from "./source.ts";

/** Every metric, in the order of the page: name, type, help, label names. For documentation too. */
export const METRICS: readonly Metric[] = [...DERP_METRICS, ...OWN_METRICS];

/** The metrics as a table in Markdown, for the documentation: name with labels, type, help. */
export function metricsTable(): string {
  const rows = METRICS.map(({ name, type, help, labels }) =>
    `| \`${name}${labels.length > 0 ? `{${labels.join(",")}}` : ""}\` | ${type} | ${help} |`
  );
  return ["| name | type | meaning |", "| --- | --- | --- |", ...rows].join("\n") + "\n";
}

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
