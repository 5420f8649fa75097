/** The two forms of the metrics page: Prometheus' text, and expvar's JSON. */
import type { Histogram } from "../../state/mod.ts";
import type { Metric, MetricsState, Sample } from "./source.ts";

/** Content type of the Prometheus text format, version 0.0.4. */
export const TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The metrics in Prometheus' text format. */
export function metricsText(metrics: readonly Metric[], state: MetricsState): string {
  const lines: string[] = [];
  for (const metric of metrics) {
    const value = metric.read(state);
    if (value === undefined) continue;
    lines.push(`# HELP ${metric.name} ${metric.help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}`);
    lines.push(`# TYPE ${metric.name} ${metric.type}`);
    if (typeof value === "number") lines.push(`${metric.name} ${number(value)}`);
    else if (isHistogram(value)) {
      for (const [bound, count] of buckets(value)) {
        lines.push(`${metric.name}_bucket{le="${bound}"} ${count}`);
      }
      lines.push(`${metric.name}_sum ${number(value.sum)}`);
      lines.push(`${metric.name}_count ${total(value)}`);
    } else {
      for (const [labels, one] of value) {
        const text = labels.map((label, i) => `${metric.labels[i]}="${escapeLabel(label)}"`);
        lines.push(`${metric.name}{${text.join(",")}} ${number(one)}`);
      }
    }
  }
  return lines.join("\n") + "\n";
}

type Json = { [key: string]: number | string | Json };

/** The metrics as one JSON object, grouped and named as the reference relay's expvar page. */
export function metricsJson(metrics: readonly Metric[], state: MetricsState): string {
  const root: Json = {};
  for (const { path, read } of metrics) {
    const value = path === undefined ? undefined : read(state);
    if (value === undefined || path === undefined) continue;
    if (typeof value === "number") put(root, path, value);
    else if (isHistogram(value)) {
      for (const [bound, count] of buckets(value)) put(root, [...path, bound], count);
      put(root, [...path, "sum"], value.sum);
      put(root, [...path, "count"], total(value));
    } else {
      for (const [labels, one] of value) put(root, [...path, ...labels], one);
    }
  }
  put(root, ["derp", "version"], state.version);
  put(root, ["version"], state.version);
  return JSON.stringify(root, null, 1) + "\n";
}

function put(root: Json, path: readonly string[], value: number | string): void {
  let at = root;
  for (const key of path.slice(0, -1)) {
    const next = at[key];
    if (typeof next === "object") at = next;
    else at = at[key] = {};
  }
  at[path.at(-1)!] = value;
}

function isHistogram(value: readonly Sample[] | Histogram): value is Histogram {
  return "bounds" in value;
}

/** Upper bounds and how many values were at most that: each bucket holds the ones before it. */
function* buckets({ bounds, counts }: Histogram): Generator<[string, number]> {
  let sum = 0;
  for (const [i, count] of counts.entries()) {
    sum += count;
    const bound = bounds[i];
    yield [bound === undefined ? "+Inf" : number(bound), sum];
  }
}

function total({ counts }: Histogram): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

function number(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

function escapeLabel(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}
