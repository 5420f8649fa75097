/** What a relay says of its load. */
import type { RelayLoad } from "../api/types.ts";
import type { RelayRegionRow } from "../store/mod.ts";

/** What a relay has counted: clients now, and bytes of packets since it started. */
export interface Reading {
  clients: number;
  bytes: number;
}

/** Longest metrics page that is read, bytes. */
const MAX_PAGE = 1 << 20;

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

/** One relay's load, from what it has counted at two looks. */
export class LoadMeter {
  #last: (Reading & { at: number }) | undefined;

  /**
   * The load at a look, if the relay told it.
   *
   * @param now steady time, ms
   */
  load(reading: Reading | undefined, now: number): RelayLoad | undefined {
    const last = this.#last;
    this.#last = reading && { ...reading, at: now };
    // Counters that went back are of another start.
    const flowed = reading && last && reading.bytes >= last.bytes && now > last.at
      ? Math.round((reading.bytes - last.bytes) / (now - last.at) * 1000)
      : undefined;
    return reading && {
      clients: reading.clients,
      ...(flowed === undefined ? {} : { bytes_per_second: flowed }),
    };
  }
}
