/**
 * One agent with a thousand relayed peers: how long it takes to start, its memory, and what it spends
 * when nothing happens. The peers are `absent`, as hosts are that were switched off, or `idle`: there,
 * with sessions that they and the agent keep alive.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { generatePrivateKey, keyToBase64 } from "../../../../relay/derp/mod.ts";
import { Lab } from "../../../lab/mod.ts";
import { Mesh } from "../../../mesh/mod.ts";
import type { BenchRow } from "../../table.ts";
import { cpuSeconds, residentMb } from "../meter.ts";
import { processesOf } from "../subjects.ts";

/** Kinds of crowds. */
export const CROWDS = ["absent", "idle"] as const;

/** How much is measured. */
export interface CrowdOptions {
  peers: number;
  kind: typeof CROWDS[number];
  say: (line: string) => void;
  /** Environment of the agent. */
  env?: Record<string, string>;
  /** Called when the agent is idle. */
  onIdle?: (pids: { agent: number; wireguard: number }) => void;
}

const REGISTER = fileURLToPath(new URL("./register.ts", import.meta.url));
const PEERS = fileURLToPath(new URL("./peers.ts", import.meta.url));
const START_MS = 120_000;
/**
 * From the start on, before the agent is said to be idle. It calls whoever is away for 90 s, and then
 * WireGuard goes on with what it has begun for as long (REKEY_ATTEMPT_TIME). Whoever is there is searched
 * for a direct way, 40 peers a second.
 */
const SETTLE_MS = { absent: 210_000, idle: 45_000 };
/** Sessions are renewed every 120 s (REKEY_AFTER_TIME): all of that is in it. */
const IDLE_S = { absent: 60, idle: 120 };

/** Measures it. */
export async function benchCrowd(options: CrowdOptions): Promise<BenchRow[]> {
  const { peers, kind, say, env = {} } = options;
  await using lab = await Lab.create({ hosts: 1, nat: "symmetric" });
  const mesh = new Mesh(lab, { agents: [], hosts: { a: { env } } });
  await Promise.all([mesh.startControl(), mesh.startRelay()]);
  const [url = "", token = ""] = mesh.regKey.split("#");
  const ca = `${lab.dir}/control/certs/ca.crt`, keys = `${lab.dir}/crowd.json`;
  const made = Array.from({ length: peers }, () => keyToBase64(generatePrivateKey()));
  await Deno.writeTextFile(keys, JSON.stringify(made));
  const registering = await lab.host("control").run(
    [Deno.execPath(), "run", "-A", REGISTER, url, token, ca, keys],
    { timeoutMs: 120_000, env: { NO_COLOR: "1" } },
  );
  if (registering.code !== 0) {
    throw new Error(`Cannot register ${peers} devices: ${registering.stderr.trim().slice(0, 300)}`);
  }
  say(`${peers} devices are registered`);
  if (kind === "idle") {
    const crowd = await lab.host("relay").spawn(
      [Deno.execPath(), "run", "-A", PEERS, "relay", "443", `${lab.dir}/relay/ca.crt`, keys],
      { log: "peers", env: { NO_COLOR: "1" } },
    );
    await crowd.waitFor(/^ready$/, START_MS);
    say("and logged in at the relay");
  }
  const began = performance.now();
  await mesh.startAgent("a");
  await until("have an endpoint", peers, () => count(mesh, "endpoints", /\t127\./));
  const start = (performance.now() - began) / 1000;
  if (kind === "idle") {
    await until("have a session", peers, () => count(mesh, "latest-handshakes", /\t[1-9]/));
    say(`sessions with all of them after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS[kind]));
  const { pid } = mesh.parts.get("a")!;
  const [wireguard] = await processesOf(lab.host("a"), "wireguard-go");
  const pids = { agent: pid, wireguard: wireguard! };
  options.onIdle?.(pids);
  const before = Object.values(pids).map(cpuSeconds);
  await new Promise((resolve) => setTimeout(resolve, IDLE_S[kind] * 1000));
  const used = Object.values(pids).map((pid, i) =>
    (cpuSeconds(pid) - before[i]!) * 100 / IDLE_S[kind]
  );
  const what = `${peers.toLocaleString("en")} ${kind} peers`;
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

async function until(what: string, peers: number, look: () => Promise<number>): Promise<void> {
  const end = performance.now() + START_MS;
  for (let there; (there = await look()) < peers;) {
    if (performance.now() > end) {
      throw new Error(`Cannot measure with ${peers} peers: ${there} of them ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** How many peers of the agent's WireGuard have a property that matches. */
async function count(mesh: Mesh, property: string, pattern: RegExp): Promise<number> {
  const { stdout } = await mesh.lab.host("a").run(["wg", "show", "all", property]);
  return stdout.split("\n").filter((line) => pattern.test(line)).length;
}
