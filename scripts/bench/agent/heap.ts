/**
 * What the proxy leaves on the heap, and what it allocates, over millions of packets each way.
 *
 * @module
 */

import { Child, freePort } from "../proxy.ts";
import type { BenchRow } from "../table.ts";

/** How much is measured. */
export interface HeapOptions {
  /** Packets in all, half of them each way. */
  packets: number;
  say: (line: string) => void;
}

interface Status {
  peers: { txPackets: number; rxPackets: number }[];
}

interface Heap {
  /** Bytes in use after a collection. */
  used: number;
  /** Bytes allocated since the process began. */
  allocated: number;
}

/** Seconds of load between two looks. */
const SPELL = 3;
/** Before it is measured: code is compiled, buffers are there. */
const WARM_SPELLS = 1;
const MAX_SPELLS = 200;
/** More than this over all packets is growth; the collector's own bookkeeping moves a little. */
const MAX_GROWTH_KB = 256;

async function measure(
  direction: "out" | "in",
  wanted: number,
  say: HeapOptions["say"],
): Promise<BenchRow[]> {
  await using load = new Child("./proxy_load.ts");
  const relay = await load.line<{ keys: string[] }>();
  const config = {
    ...relay,
    keys: relay.keys.slice(0, 4),
    capture: "linux",
    loopbackPort: freePort(),
  };
  await using subject = new Child(
    ["--v8-flags=--expose-gc", "./proxy_subject.ts"],
    JSON.stringify(config),
  );
  const endpoints = await subject.line<string[]>();
  const spell = async () => {
    await load.send({ direction, rate: 0, seconds: SPELL, endpoints });
    await load.line();
  };
  const look = async () => {
    await subject.send("status");
    const { peers } = await subject.line<Status>();
    await subject.send("heap");
    const heap = await subject.line<Heap>();
    return { ...heap, packets: peers.reduce((n, p) => n + p.txPackets + p.rxPackets, 0) };
  };
  for (let i = 0; i < WARM_SPELLS; i++) await spell();
  const before = await look();
  let after = before;
  for (let i = 0; i < MAX_SPELLS && after.packets - before.packets < wanted; i++) {
    await spell();
    after = await look();
    const kb = Math.round(after.used / 1024);
    say(`${direction}: ${((after.packets - before.packets) / 1e6).toFixed(1)} M packets, ${kb} KB`);
  }
  const packets = after.packets - before.packets;
  const grown = (after.used - before.used) / 1024;
  const way = direction === "out" ? "to the relay" : "from the relay";
  return [
    { what: `proxy, ${way}: packets`, value: packets / 1e6, unit: "million" },
    { what: `proxy, ${way}: heap before`, value: before.used / 1024, unit: "KB" },
    {
      what: `proxy, ${way}: heap grown`,
      value: grown,
      unit: "KB",
      goal: `< ${MAX_GROWTH_KB}`,
      met: grown < MAX_GROWTH_KB,
    },
    {
      what: `proxy, ${way}: allocated, wake-ups and all`,
      value: (after.allocated - before.allocated) / packets,
      unit: "B/packet",
    },
  ];
}

/** Measures the proxy alone, both ways. Needs Linux and FFI; without, there are no rows. */
export async function benchHeap({ packets, say }: HeapOptions): Promise<BenchRow[]> {
  if (Deno.build.os !== "linux") return [];
  return [
    ...await measure("out", packets / 2, say),
    ...await measure("in", packets / 2, say),
  ];
}
