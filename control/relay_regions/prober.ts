/** Looks at the relays now and then, so that an operator sees which one does not answer. */
import type { RelayHealth } from "../api/types.ts";
import type { RelayRegionRow, Store } from "../store/mod.ts";
import { askLoad, LoadMeter, type Reading } from "./load.ts";
import { BUILT_IN, listRelayRegions } from "./regions.ts";
import { keepSamples } from "./samples.ts";

/** Times of a prober, ms. */
export interface ProbeTimes {
  /** Between two rounds. */
  everyMs: number;
  /** One relay's answer. */
  timeoutMs: number;
}

export const DEFAULT_PROBE_TIMES: ProbeTimes = { everyMs: 30_000, timeoutMs: 5_000 };

/** What the answer to a probe begins with. */
const ANSWER = /^HTTP\/1\.[01] 200 /;

/** A relay that does not tell its load is asked again after this, ms. */
const ASK_AGAIN_MS = 3_600_000;

/** Longest reason that is shown, characters. */
const MAX_REASON = 120;

/** See the top of the file. */
export class RelayProber {
  readonly #store: Store;
  readonly #times: ProbeTimes;
  readonly #health = new Map<string, RelayHealth>();
  readonly #meters = new Map<string, LoadMeter>();
  /** Tells its looks from those of other control planes. */
  readonly #instance = crypto.randomUUID();
  /** How relays of this process tell their load, by id. */
  readonly #own = new Map<string, () => Promise<Reading>>();
  /** When a relay may be asked for its load (`performance.now()`). */
  readonly #askAt = new Map<string, number>();
  readonly #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round: Promise<void> | undefined;

  constructor(store: Store, times: ProbeTimes = DEFAULT_PROBE_TIMES) {
    this.#store = store;
    this.#times = times;
  }

  /** Begins; the first round comes a moment later. */
  start(): void {
    this.#later(Math.min(1_000, this.#times.everyMs));
  }

  /** What the last look at a relay found; undefined before the first. */
  health(id: string): RelayHealth | undefined {
    return this.#health.get(id);
  }

  /** A relay runs in this process, and need not be asked. */
  tells(id: string, read: () => Promise<Reading>): void {
    this.#own.set(id, read);
  }

  /** Looks at all relays now, and keeps what it saw for all control planes of the database. */
  async look(): Promise<void> {
    const rows = await listRelayRegions(this.#store.db);
    const samples = await Promise.all(rows.map(async (row) => {
      const health = await this.#probe(row);
      const reading = await this.#load(row, health);
      this.#health.set(row.id, health);
      const meter = this.#meters.get(row.id) ?? new LoadMeter();
      this.#meters.set(row.id, meter);
      const { latency_ms, checked_at: at } = health;
      return {
        ...{ relayId: row.id, at },
        ...(latency_ms === undefined ? {} : { latency_ms }),
        ...meter.load(reading, performance.now()),
      };
    }));
    // A look that was cut off says nothing of a relay.
    if (this.#stop.signal.aborted) return;
    const ids = new Set(rows.map(({ id }) => id));
    for (const map of [this.#health, this.#meters, this.#askAt]) {
      for (const id of map.keys()) if (!ids.has(id)) map.delete(id);
    }
    await keepSamples(this.#store, this.#instance, samples);
  }

  /** Ends, and waits for the round that is under way. */
  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }

  #later(ms: number): void {
    if (this.#stop.signal.aborted) return;
    this.#timer = setTimeout(() => {
      // A database that does not answer has its own alarm.
      this.#round = this.look().catch(() => {}).then(() => this.#later(this.#times.everyMs));
    }, ms);
  }

  async #load(row: RelayRegionRow, { state }: RelayHealth): Promise<Reading | undefined> {
    const now = performance.now(), own = this.#own.get(row.id);
    if (state === "down" || row.id === BUILT_IN.id) return undefined;
    if (own === undefined && now < (this.#askAt.get(row.id) ?? 0)) return undefined;
    const signal = AbortSignal.any([
      this.#stop.signal,
      AbortSignal.timeout(this.#times.timeoutMs),
    ]);
    const reading = await (own?.() ?? askLoad(row, signal)).catch(() => undefined);
    if (reading === undefined) this.#askAt.set(row.id, now + ASK_AGAIN_MS);
    return reading;
  }

  async #probe(row: RelayRegionRow): Promise<RelayHealth> {
    const checked_at = new Date().toISOString();
    try {
      const latency_ms = await probe(row, this.#times.timeoutMs, this.#stop.signal);
      return { state: "up", latency_ms, checked_at };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // deno-lint-ignore no-control-regex
      const text = reason.replace(/[\x00-\x1f\x7f-\x9f]+/g, " ").slice(0, MAX_REASON);
      return { state: "down", error: text, checked_at };
    }
  }
}

/** Asks a relay for its probe page; the time from question to answer, ms. */
async function probe(row: RelayRegionRow, ms: number, stop: AbortSignal): Promise<number> {
  const { hostname, port, ca } = row;
  const signal = AbortSignal.any([stop, AbortSignal.timeout(ms)]);
  const late = new Promise<never>((_, reject) => {
    const end = () => reject(new Error(`no answer within ${ms / 1000} s`));
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
  });
  late.catch(() => {});
  const dialled = Deno.connect({ hostname, port, signal }).then(async (tcp) => {
    try {
      return await Deno.startTls(tcp, { hostname, ...(ca === "" ? {} : { caCerts: [ca] }) });
    } catch (error) {
      tcp.close();
      throw error;
    }
  });
  // One that comes too late is nobody's.
  dialled.then((conn) => signal.aborted && close(conn), () => {});
  const conn = await Promise.race([dialled, late]);
  try {
    await Promise.race([conn.handshake(), late]);
    const began = performance.now();
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    const request = `GET /derp/probe HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    await Promise.race([conn.write(new TextEncoder().encode(request)), late]);
    const buffer = new Uint8Array(1024);
    const n = await Promise.race([conn.read(buffer), late]);
    const head = new TextDecoder().decode(buffer.subarray(0, n ?? 0));
    if (!ANSWER.test(head)) throw new Error("what answers there is no relay");
    return Math.round((performance.now() - began) * 10) / 10;
  } finally {
    close(conn);
  }
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // Closed before.
  }
}
