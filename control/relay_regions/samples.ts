/** What all control planes of a database saw of its relays in the last hour. */
import type { RelayLoad, RelayTrend } from "../api/types.ts";
import type { Reader, RelaySampleRow, Store } from "../store/mod.ts";

/** How long a look is kept, and how long a load is one of now, ms. */
const KEPT_MS = 3_600_000, FRESH_MS = 90_000;
/** Points of a trend, and looks that are read for one. */
const MAX_POINTS = 120, MAX_READ = 4_096;

type Point = RelayTrend["points"][number];

/** One look at a relay. */
export interface Sample extends Point {
  relayId: string;
}

/** Keeps the looks of one round, and forgets those of an hour ago. */
export async function keepSamples(
  store: Store,
  instanceId: string,
  samples: readonly Sample[],
  now: number = Date.now(),
): Promise<void> {
  const rows = samples.map(({ relayId, at, latency_ms, clients, bytes_per_second }) => ({
    ...{ relay_id: relayId, at, instance_id: instanceId },
    latency_us: latency_ms === undefined ? null : Math.round(latency_ms * 1000),
    clients: clients ?? null,
    bytes_per_second: bytes_per_second ?? null,
  }));
  await store.write(async ({ db }) => {
    await db.deleteFrom("relay_samples").where("at", "<", before(now, KEPT_MS)).execute();
    if (rows.length === 0) return;
    await db.insertInto("relay_samples").values(rows).onConflict((twin) => twin.doNothing())
      .execute();
  });
}

/**
 * A relay's last hour, oldest first, at most 120 points: looks of several control planes at about the
 * same time are one, with the mean of the round trips and the load of whoever was told it.
 *
 * @param load false: without it, for who may not see it
 */
export async function trendOf(
  db: Reader,
  relayId: string,
  load: boolean,
  now: number = Date.now(),
): Promise<Point[]> {
  const rows = await db.selectFrom("relay_samples").selectAll().where("relay_id", "=", relayId)
    .where("at", ">=", before(now, KEPT_MS)).orderBy("at", "desc").limit(MAX_READ).execute();
  rows.reverse();
  return merged(rows, MAX_POINTS).map(({ at, latency_ms, ...more }) => ({
    at,
    ...(latency_ms === undefined ? {} : { latency_ms }),
    ...(load ? more : {}),
  }));
}

/** The load of each relay as the last look that was told one has it, by the relay's id. */
export async function loadsNow(
  db: Reader,
  now: number = Date.now(),
): Promise<Map<string, RelayLoad>> {
  const rows = await db.selectFrom("relay_samples").selectAll()
    .where("at", ">=", before(now, FRESH_MS)).where("clients", "is not", null)
    .orderBy("at").limit(MAX_READ).execute();
  return new Map(rows.map(({ relay_id, clients, bytes_per_second }) => [relay_id, {
    clients: clients!,
    ...(bytes_per_second === null ? {} : { bytes_per_second }),
  }]));
}

/** The looks as they are while they are few, else one for each part of the hour. */
function merged(rows: readonly RelaySampleRow[], most: number): Point[] {
  const part = KEPT_MS / (most - 1);
  const parts = new Map<number, RelaySampleRow[]>();
  for (const [i, row] of rows.entries()) {
    const key = rows.length <= most ? i : Math.floor(Date.parse(row.at) / part);
    const some = parts.get(key);
    if (some === undefined) parts.set(key, [row]);
    else some.push(row);
  }
  return [...parts.values()].map((some) => {
    const told = <K extends "latency_us" | "clients" | "bytes_per_second">(name: K) =>
      some.map((row) => row[name]).filter((value): value is number => value !== null);
    const [times, clients, bytes] = [
      told("latency_us"),
      told("clients"),
      told("bytes_per_second"),
    ];
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    return {
      at: some.at(-1)!.at,
      ...(times.length === 0 ? {} : { latency_ms: Math.round(mean / 100) / 10 }),
      ...(clients.length === 0 ? {} : { clients: Math.max(...clients) }),
      ...(bytes.length === 0 ? {} : { bytes_per_second: Math.max(...bytes) }),
    };
  });
}

/** A time as the rows have it. */
function before(now: number, ms: number): string {
  return new Date(now - ms).toISOString();
}
