/**
 * What the relay spends, beside the reference relay in the same run where Go is there to build it;
 * elsewhere what ours spends under our own clients.
 *
 * @module
 */

import { buildPeers, type Peers, PeersError } from "../../peers.ts";
import type { BenchRow } from "../table.ts";
import { compare, type CompareOptions } from "./compare.ts";
import { benchOwn } from "./own.ts";

export type { CompareOptions } from "./compare.ts";
export { takePackets } from "./frames.ts";
export { startDerper, startOurs, type Subject } from "./subjects.ts";

/** Measures the relay. About 3 minutes beside the reference, 20 seconds alone. */
export async function benchRelay(options: CompareOptions = {}): Promise<BenchRow[]> {
  const { say = () => {} } = options;
  let peers: Peers;
  try {
    peers = await buildPeers({ say });
  } catch (error) {
    if (!(error instanceof PeersError)) throw error;
    say(`${error.message}; so ours is compared with nothing, under our own clients`);
    return await benchOwn();
  }
  return await compare(peers, options);
}
