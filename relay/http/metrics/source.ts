/** What the metrics are made of. */
import type { Counters } from "../../server/mod.ts";
import type { Histogram, RelaySnapshot } from "../../state/mod.ts";
import type { StunCounters } from "../../stun/server.ts";
import type { BootstrapDnsCounters } from "../dns/mod.ts";

/** Where the values come from; asked at each scrape, never on the packet path. */
export interface MetricsSource {
  /**
   * The relay's state, summed over its workers. Its `counters` may also hold the fields of
   * {@link BootstrapDnsCounters}, so that they add up over the workers as the others do.
   */
  snapshot(): Promise<RelaySnapshot>;
  stun(): StunCounters | undefined;
  /** Only the end of validity is published: milliseconds since the Unix epoch. */
  certificate?(): { notAfter: number } | undefined;
  /** The receive rate limit in force: bytes a second, and bytes at once. */
  rateLimit?(): { bytesPerSecond: number; burst: number } | undefined;
  version: string;
}

/** Everything a metric may be read from, at one moment. */
export interface MetricsState {
  snapshot: RelaySnapshot;
  stun: StunCounters | undefined;
  certificate: { notAfter: number } | undefined;
  rateLimit: { bytesPerSecond: number; burst: number } | undefined;
  /** Milliseconds since the Unix epoch: now, and when the relay's first process began. */
  now: number;
  since: number;
  version: string;
}

type NumberFields<T> = { [K in keyof T]: T[K] extends number ? K : never }[keyof T] & string;

/** Names in {@link RelaySnapshot.counters}. */
export type CounterField = NumberFields<Counters> | keyof BootstrapDnsCounters;

/** Label values in the order of the metric's labels, and the value. */
export type Sample = readonly [labels: readonly string[], value: number];

/** One published metric. */
export interface Metric {
  name: string;
  type: "counter" | "gauge" | "untyped" | "histogram";
  help: string;
  labels: readonly string[];
  /**
   * Where it stands in the JSON page: keys from the outermost. Undefined: only in the text page.
   */
  path: readonly string[] | undefined;
  /** Undefined: there is nothing to publish now. */
  read(state: MetricsState): number | readonly Sample[] | Histogram | undefined;
}
