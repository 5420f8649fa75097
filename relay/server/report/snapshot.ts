/**
 * The relay's state as plain data, taken when somebody asks.
 */
import { cpuUsage } from "node:process";
import { keyToHex } from "../../derp/mod.ts";
import { type ClientState, type Gauges, MAX_CLIENTS, type RelaySnapshot } from "../../state/mod.ts";
import type { Connection } from "../connection.ts";
import type { Counters } from "../counters.ts";
import type { Region } from "../region/mod.ts";
import type { Distribution } from "./histogram.ts";

/** What a snapshot is made of. */
export interface Source {
  counters: Counters;
  region: Region;
  loginSeconds: Distribution;
  framesPerWrite: Distribution;
  /** Connections whose login is not finished. */
  loggingIn: number;
  /** When this process started to serve: milliseconds since the Unix epoch. */
  since: number;
}

/** Takes a snapshot. Links, and streams of ordinary HTTP, are others' to fill in. */
export function takeSnapshot(source: Source): RelaySnapshot {
  const { counters } = source;
  const numbers: Record<string, number> = {};
  for (const [name, value] of Object.entries(counters)) {
    if (typeof value === "number") numbers[name] = value;
  }
  const { user, system } = cpuUsage();
  return {
    counters: numbers,
    dropped: [...counters.dropped],
    droppedBytes: [...counters.droppedBytes],
    wireguard: [...counters.wireguard],
    gauges: gauges(source),
    loginSeconds: source.loginSeconds.snapshot(),
    framesPerWrite: source.framesPerWrite.snapshot(),
    meshUpdateBatchSize: source.region.telling.batches.snapshot(),
    meshUpdateLoopCount: source.region.telling.rounds.snapshot(),
    clients: clients(source.region),
    mesh: [],
    siblings: [],
    processes: [{
      pid: Deno.pid,
      since: source.since,
      cpuSeconds: (user + system) / 1e6,
      rssBytes: Deno.memoryUsage().rss,
    }],
  };
}

function gauges({ counters, region, loggingIn }: Source): Gauges {
  const { registry } = region;
  let [queuedPackets, queuedBytes] = [0, 0];
  for (const { queue } of registry.connections()) {
    queuedPackets += queue.packets;
    queuedBytes += queue.bytes;
  }
  for (const link of region.links) queuedBytes += link.queuedBytes;
  return {
    connections: counters.currentConnections,
    home: counters.currentHome,
    notIdeal: counters.currentNotIdeal,
    keysLocal: registry.keys,
    keysRemote: registry.total - registry.keys,
    keysTotal: registry.total,
    duplicateKeys: registry.duplicates.keys,
    duplicateConnections: registry.duplicates.connections,
    watchers: region.watchers.size,
    queuedPackets,
    queuedBytes,
    loggingIn,
    httpStreams: 0,
  };
}

/** The busiest connections, the busiest first. */
function clients({ registry }: Region): ClientState[] {
  return pickBusiest([...registry.connections()], MAX_CLIENTS).map(describe);
}

/** The `most` connections with the most traffic. Ten thousand numbers sort faster than objects. */
export function pickBusiest<T extends { receivedBytes: number; sentBytes: number }>(
  list: T[],
  most: number,
): T[] {
  const traffic = (one: T) => one.receivedBytes + one.sentBytes;
  const byTraffic = (a: T, b: T) => traffic(b) - traffic(a);
  if (list.length <= most) return list.sort(byTraffic);
  const least = Float64Array.from(list, traffic).sort()[list.length - most]!;
  const above = list.filter((one) => traffic(one) > least).sort(byTraffic);
  for (const one of list) {
    if (above.length >= most) break;
    if (traffic(one) === least) above.push(one);
  }
  return above;
}

function describe(connection: Connection): ClientState {
  const { about, key, queue } = connection;
  const host = about.address.includes(":") ? `[${about.address}]` : about.address;
  return {
    key: keyToHex(key),
    remote: about.address === "" ? "" : `${host}:${about.port}`,
    since: connection.since,
    receivedBytes: connection.receivedBytes,
    sentBytes: connection.sentBytes,
    queuedPackets: queue.packets,
    droppedPackets: queue.dropped,
    uniqueSenders: connection.uniqueSenders,
    home: connection.preferred,
    mesh: about.mesh === true,
    prober: about.prober === true,
    websocket: about.websocket === true,
    duplicate: connection.peer.duplicated,
  };
}
