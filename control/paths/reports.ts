import type { SelectQueryBuilder } from "kysely";
import type { DevicePaths, PathReport, PeerPath, RelayView, SeenRelay } from "../api/types.ts";
import type { Principal } from "../auth/mod.ts";
import { type ListSpec, Problem, textField } from "../http/mod.ts";
import type { DevicePathsRow, Reader, Store, Tables } from "../store/mod.ts";

/** Relays that are told of in one answer: a device may name any. */
const MAX_RELAYS = 64;

/** Lists of what devices told. */
export const PATHS: ListSpec = {
  fields: { device_id: textField("device_paths.device_id") },
  order: "device_id",
  key: ["device_paths.device_id"],
};

/**
 * Keeps what a device tells of itself, in place of what it told before; 403 for everybody else. Peers
 * that are not of its VPC are left out. What a device tells that is not online is not kept.
 */
export async function keepReport(
  store: Store,
  principal: Principal,
  id: string,
  { peers, more, relays }: PathReport,
): Promise<void> {
  if (principal.kind !== "device" || principal.device.id !== id) {
    throw new Problem(403, { error: "only a device itself tells of its ways" });
  }
  const unique = new Map(peers.map((peer) => [peer.device_id, peer]));
  await store.write(async (write) => {
    const { db } = write;
    // As it is now: the token was looked up before this had its turn.
    const device = await db.selectFrom("devices").select("vpc_id").where("id", "=", id)
      .where("online", "=", 1).where("deleted_at", "is", null).executeTakeFirst();
    if (device === undefined) return;
    const ids = [...unique.keys()];
    const known = ids.length === 0 ? [] : await db.selectFrom("devices").select("id")
      .where("id", "in", ids).where("vpc_id", "=", device.vpc_id)
      .where("deleted_at", "is", null).execute();
    const own = known.flatMap((row) => row.id === id ? [] : [unique.get(row.id)!]);
    const told = {
      vpc_id: device.vpc_id,
      peers_json: JSON.stringify({ peers: own, more }),
      relays_json: JSON.stringify(relays),
      told_at: new Date().toISOString(),
    };
    await db.insertInto("device_paths").values({ device_id: id, ...told })
      .onConflict((conflict) => conflict.column("device_id").doUpdateSet(told)).execute();
    write.rerouted(device.vpc_id);
  });
}

type Query = SelectQueryBuilder<Tables, "device_paths", DevicePathsRow>;

/** What the devices of a VPC that are online told. */
export function pathsOf(db: Reader, vpcId: string): Query {
  return db.selectFrom("device_paths").innerJoin("devices", "devices.id", "device_paths.device_id")
    .selectAll("device_paths").where("device_paths.vpc_id", "=", vpcId)
    .where("devices.vpc_id", "=", vpcId).where("devices.online", "=", 1)
    .where("devices.deleted_at", "is", null) as unknown as Query;
}

/** How to show them: peers that have left the VPC since are left out. */
export async function presentPaths(
  db: Reader,
  vpcId: string,
): Promise<(row: DevicePathsRow) => DevicePaths> {
  const rows = await db.selectFrom("devices").select("id").where("vpc_id", "=", vpcId)
    .where("deleted_at", "is", null).execute();
  const here = new Set(rows.map(({ id }) => id));
  return ({ device_id, peers_json, told_at }) => {
    const { peers, more } = JSON.parse(peers_json) as { peers: PeerPath[]; more: number };
    return { device_id, told_at, peers: peers.filter((peer) => here.has(peer.device_id)), more };
  };
}

/** The relays that devices of a VPC tell of, those with the most devices first. */
export async function relaysSeen(db: Reader, vpcId: string): Promise<RelayView[]> {
  const rows = await pathsOf(db, vpcId).clearSelect().select("relays_json").execute();
  const all = new Map<string, { view: RelayView; times: number[] }>();
  for (const { relays_json } of rows) {
    for (const relay of JSON.parse(relays_json) as SeenRelay[]) {
      const { hostname, port, home, latency_ms, error } = relay;
      const key = `${hostname} ${port}`;
      const known = all.get(key) ??
        { view: { hostname, port, devices: 0, home: 0, failing: 0 }, times: [] };
      all.set(key, known);
      known.view.devices++;
      if (home) known.view.home++;
      if (error) known.view.failing++;
      if (typeof latency_ms === "number") known.times.push(latency_ms);
    }
  }
  return [...all.values()].sort((a, b) => b.view.devices - a.view.devices).slice(0, MAX_RELAYS)
    .map(({ view, times }) => {
      times.sort((a, b) => a - b);
      const middle = times[Math.floor((times.length - 1) / 2)];
      return middle === undefined ? view : { ...view, latency_ms: middle, worst_ms: times.at(-1)! };
    });
}
