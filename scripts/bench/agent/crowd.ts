/**
 * One agent with a thousand relayed peers: how long it takes to start, its memory, and what it spends
 * when nothing happens. The peers never answer, which is more work than if they did: WireGuard tries
 * a handshake with each of them every few seconds.
 *
 * @module
 */

import { Lab } from "../../lab/mod.ts";
import { Mesh } from "../../mesh/mod.ts";
import type { BenchRow } from "../table.ts";
import { cpuSeconds, residentMb } from "./meter.ts";
import { processesOf } from "./subjects.ts";

/** How much is measured. */
export interface CrowdOptions {
  peers: number;
  say: (line: string) => void;
}

const REGISTER = new URL("./register.ts", import.meta.url).pathname;
const START_MS = 60_000;
/** From the start on, before the agent is said to be idle. */
const SETTLE_MS = 10_000;
const IDLE_S = 10;

/** Measures it. */
export async function benchCrowd({ peers, say }: CrowdOptions): Promise<BenchRow[]> {
  await using lab = await Lab.create({ hosts: 1, nat: "symmetric" });
  const mesh = new Mesh(lab, { agents: [] });
  await Promise.all([mesh.startControl(), mesh.startRelay()]);
  const [url = "", token = ""] = mesh.regKey.split("#");
  const ca = `${lab.dir}/control/certs/ca.crt`;
  const registering = await lab.host("control").run(
    [Deno.execPath(), "run", "-A", REGISTER, url, token, ca, String(peers)],
    { timeoutMs: 120_000, env: { NO_COLOR: "1" } },
  );
  if (registering.code !== 0) {
    throw new Error(`Cannot register ${peers} devices: ${registering.stderr.trim().slice(0, 300)}`);
  }
  say(`${peers} devices are registered`);
  const began = performance.now();
  await mesh.startAgent("a");
  while (await relayed(mesh) < peers) {
    if (performance.now() - began > START_MS) {
      throw new Error(`Cannot reach ${peers} peers: ${await relayed(mesh)} have an endpoint`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const start = (performance.now() - began) / 1000;
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const { pid } = mesh.parts.get("a")!;
  const [wireguard] = await processesOf(lab.host("a"), "wireguard-go");
  const pids = { agent: pid, "wireguard-go": wireguard! };
  const before = Object.values(pids).map(cpuSeconds);
  await new Promise((resolve) => setTimeout(resolve, IDLE_S * 1000));
  const used = Object.values(pids).map((pid, i) => (cpuSeconds(pid) - before[i]!) * 100 / IDLE_S);
  const what = `${peers.toLocaleString("en")} peers`;
  const bound = (unit: string, value: number, text: string, most: number): BenchRow => ({
    what: `${what}: ${text}`,
    unit,
    value,
    goal: `< ${most}`,
    met: value < most,
  });
  return [
    bound("s", start, "start", 10),
    bound("MB", residentMb(pid), "memory", 150),
    bound("%", used[0]!, "CPU when idle", 1),
    { what: `${what}: memory of wireguard-go`, unit: "MB", value: residentMb(wireguard!) },
    { what: `${what}: CPU of wireguard-go`, unit: "%", value: used[1]! },
  ];
}

/** How many peers WireGuard has with an endpoint of the proxy. */
async function relayed(mesh: Mesh): Promise<number> {
  const { stdout } = await mesh.lab.host("a").run(["wg", "show", "all", "endpoints"]);
  return stdout.split("\n").filter((line) => line.includes("\t127.")).length;
}
