/**
 * TCP through the tunnel: through our proxies and relay, and, as the baseline, the same agents on
 * hosts that reach each other directly, where wireguard-go alone carries the packets.
 */

import { Lab } from "../lab/mod.ts";
import { Mesh } from "../mesh/mod.ts";
import type { BenchRow } from "./table.ts";

/** How long each direction runs, in seconds. */
const SECONDS = 4;

async function measure(
  what: string,
  nat: "open" | "symmetric",
  env: Record<string, string> = {},
): Promise<BenchRow[]> {
  await using lab = await Lab.create({ hosts: 2, nat });
  const mesh = await Mesh.start(lab, { agents: ["a", "b"], env });
  const method = nat === "open" ? "reflexive" : "via-derp-relay";
  await mesh.waitForPath("a", "b", method, 30_000);
  await mesh.waitForPath("b", "a", method, 30_000);
  const out = await mesh.iperf("a", "b", { seconds: SECONDS });
  const back = await mesh.iperf("a", "b", { seconds: SECONDS, reverse: true });
  const ping = await mesh.ping("a", "b", { count: 200, intervalMs: 10 });
  return [
    { what: `tunnel, ${what}, a to b`, value: out.mbitPerS, unit: "Mbit/s" },
    { what: `tunnel, ${what}, b to a`, value: back.mbitPerS, unit: "Mbit/s" },
    { what: `tunnel, ${what}, ping`, value: ping.rtt?.avg ?? NaN, unit: "ms round trip" },
    { what: `tunnel, ${what}, pings lost`, value: ping.lossPercent, unit: "%" },
  ];
}

/** Throughput and round trip through the relay, for both captures, beside direct wireguard-go. */
export async function benchTunnel(): Promise<BenchRow[]> {
  return [
    ...await measure("direct wireguard-go", "open"),
    ...await measure("relayed, linux capture", "symmetric", { NEXD_PROXY_CAPTURE: "linux" }),
    ...await measure("relayed, portable capture", "symmetric", { NEXD_PROXY_CAPTURE: "portable" }),
  ];
}
