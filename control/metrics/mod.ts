/**
 * What the control plane counts of itself, for Prometheus. The number of series is bounded: classes of
 * paths and statuses, nothing of users, hosts or addresses.
 *
 * @module
 */
import type { Store } from "../store/mod.ts";
import { routeOf, statusOf } from "./requests.ts";
import { Histogram, Text } from "./text.ts";

export { TEXT_TYPE } from "./text.ts";

/** Upper bounds of the histograms, s. */
const SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10];
/** Devices are counted in the database at most so often, ms. */
const COUNT_EVERY = 15_000;

/** What is read when the metrics are asked for. */
export interface MetricsSource {
  store: Store;
  /** Open event streams. */
  streams: () => number;
}

/** See the top of the file. */
export class Metrics {
  readonly #version: string;
  readonly #since = Date.now() / 1000;
  /** By class of path and status. */
  readonly #requests = new Map<string, Map<string, number>>();
  readonly #seconds = new Map<string, Histogram>();
  readonly #delay = new Histogram(SECONDS);
  #limited = { address: 0, credential: 0 };
  #refused = 0;
  #devices: { at: number; counts: Promise<{ online: number; offline: number }> } | undefined;

  /** @param version of the program */
  constructor(version = "") {
    this.#version = version;
  }

  /** A request was answered, or began to be, after `ms`. */
  answered(path: string, status: number, ms: number): void {
    const route = routeOf(path), code = statusOf(status);
    const codes = this.#requests.get(route) ?? new Map<string, number>();
    this.#requests.set(route, codes);
    codes.set(code, (codes.get(code) ?? 0) + 1);
    const seconds = this.#seconds.get(route) ?? new Histogram(SECONDS);
    this.#seconds.set(route, seconds);
    seconds.add(ms / 1000);
  }

  /** A change was given to those who watch, `ms` after it was heard of. */
  passedOn(ms: number): void {
    this.#delay.add(ms / 1000);
  }

  /** A request was refused as there were too many before it. */
  limited(by: "address" | "credential"): void {
    this.#limited[by]++;
  }

  /** Somebody was not let in. */
  signInRefused(): void {
    this.#refused++;
  }

  /** The page; rejects as the store does when it does not answer, but for the devices. */
  async text({ store, streams }: MetricsSource): Promise<string> {
    const text = new Text();
    const named = (name: string) => `nexd_control_${name}`;
    text.family(named("build_info"), "gauge", "The program.", [[{ version: this.#version }, 1]]);
    text.one(
      named("start_time_seconds"),
      "gauge",
      "When it started, s since the epoch.",
      this.#since,
    );
    text.one(
      named("memory_bytes"),
      "gauge",
      "Resident memory of the process.",
      Deno.memoryUsage().rss,
    );
    text.family(
      named("requests_total"),
      "counter",
      "Answers, by class of path and status.",
      [...this.#requests].flatMap(([route, codes]) =>
        [...codes].map(([status, count]) => [{ route, status }, count] as const)
      ),
    );
    text.histograms(
      named("request_seconds"),
      "Time to an answer, of a stream to its beginning.",
      [...this.#seconds].map(([route, seconds]) => [{ route }, seconds] as const),
    );
    text.family(named("rate_limited_total"), "counter", "Requests refused as too many.", [
      [{ by: "address" }, this.#limited.address],
      [{ by: "credential" }, this.#limited.credential],
    ]);
    text.one(named("sign_ins_refused_total"), "counter", "Sign-ins refused.", this.#refused);
    text.one(named("streams_open"), "gauge", "Open event streams.", streams());
    text.histograms(
      named("event_delay_seconds"),
      "From hearing of a change to giving it to the streams.",
      [[{}, this.#delay]],
    );
    const { transactions, writes, failed, waiting, seconds, pool } = store.stats();
    text.one(
      named("store_transactions_total"),
      "counter",
      "Write transactions committed.",
      transactions,
    );
    text.one(named("store_writes_total"), "counter", "Pieces of work in them.", writes);
    text.one(named("store_errors_total"), "counter", "Write transactions that failed.", failed);
    text.one(
      named("store_transaction_seconds_total"),
      "counter",
      "Time in write transactions.",
      seconds,
    );
    text.one(named("store_writes_waiting"), "gauge", "Pieces of work that wait.", waiting);
    if (pool !== undefined) {
      const states = Object.entries(pool).map(([state, count]) => [{ state }, count] as const);
      text.family(
        named("store_connections"),
        "gauge",
        "Connections to the database; who waits for one.",
        states,
      );
    }
    const devices = await this.#counted(store).catch(() => undefined);
    if (devices !== undefined) {
      const states = Object.entries(devices).map(([state, count]) => [{ state }, count] as const);
      text.family(
        named("devices"),
        "gauge",
        "Devices in the database, of all control planes.",
        states,
      );
    }
    return text.toString();
  }

  #counted(store: Store): Promise<{ online: number; offline: number }> {
    const now = performance.now();
    if (this.#devices === undefined || now - this.#devices.at > COUNT_EVERY) {
      this.#devices = { at: now, counts: count(store) };
    }
    return this.#devices.counts;
  }
}

async function count({ db }: Store): Promise<{ online: number; offline: number }> {
  const rows = await db.selectFrom("devices").where("deleted_at", "is", null)
    .select(["online", (e) => e.fn.countAll<number>().as("count")]).groupBy("online").execute();
  const of = (online: number) =>
    Number(rows.find((row) => Number(row.online) === online)?.count ?? 0);
  return { online: of(1), offline: of(0) };
}
