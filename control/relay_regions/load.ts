/** What a relay says of its load, and how it was in the last hour. */
import type { RelayLoad, RelayTrend } from "../api/types.ts";
import type { RelayRegionRow } from "../store/mod.ts";

/** What a relay has counted: clients now, and bytes of packets since it started. */
export interface Reading {
  clients: number;
  bytes: number;
}

/** Longest metrics page that is read, bytes. */
const MAX_PAGE = 1 << 20;
/** Points of a trend. */
const MAX_POINTS = 120;

/**
 * Asks a relay for its metrics; undefined where it does not give them to this host, or has none of
 * those that count. Ours gives them to the networks of `--debug-networks`.
 */
export async function askLoad(
  { hostname, port, ca }: RelayRegionRow,
  signal: AbortSignal,
): Promise<Reading | undefined> {
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  using client = Deno.createHttpClient(ca === "" ? {} : { caCerts: [ca] });
  const url = `https://${host}:${port}/debug/metrics`;
  const response = await fetch(url, { client, signal, redirect: "error" });
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel();
    return undefined;
  }
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_PAGE) return undefined;
  }
  return readMetrics(text);
}

/** The figures in a metrics page in Prometheus' text format. */
export function readMetrics(text: string): Reading | undefined {
  const value = (name: string) => {
    const found = new RegExp(`^${name} (\\d+(?:\\.\\d+)?(?:e\\+?\\d+)?)$`, "m").exec(text);
    const number = Number(found?.[1]);
    return Number.isFinite(number) ? number : undefined;
  };
  const clients = value("derp_clients_local") ?? value("derp_current_connections");
  const received = value("derp_bytes_received"), sent = value("derp_bytes_sent");
  if (clients === undefined || received === undefined || sent === undefined) return undefined;
  return { clients: Math.min(Math.round(clients), 1e9), bytes: received + sent };
}

/** One relay's last hour. */
export class Trend {
  #points: RelayTrend["points"] = [];
  #last: (Reading & { at: number }) | undefined;

  /** The load at the last look, if the relay told it. */
  load: RelayLoad | undefined;

  /**
   * Adds a look.
   *
   * @param latency round trip, ms; undefined: it did not answer
   * @param now steady time, ms
   */
  add(latency: number | undefined, reading: Reading | undefined, at: string, now: number): void {
    const last = this.#last;
    this.#last = reading && { ...reading, at: now };
    // Counters that went back are of another start.
    const flowed = reading && last && reading.bytes >= last.bytes && now > last.at
      ? Math.round((reading.bytes - last.bytes) / (now - last.at) * 1000)
      : undefined;
    this.load = reading && {
      clients: reading.clients,
      ...(flowed === undefined ? {} : { bytes_per_second: flowed }),
    };
    this.#points.push({
      at,
      ...(latency === undefined ? {} : { latency_ms: latency }),
      ...this.load,
    });
    if (this.#points.length > MAX_POINTS) this.#points.shift();
  }

  /** The looks, oldest first; without the load for who may not see it. */
  points(load: boolean): RelayTrend["points"] {
    if (load) return this.#points;
    return this.#points.map(({ at, latency_ms }) => ({
      at,
      ...(latency_ms === undefined ? {} : { latency_ms }),
    }));
  }
}
