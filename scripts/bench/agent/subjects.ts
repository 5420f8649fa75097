/**
 * What is measured: two hosts with a tunnel between them, three times in a lab of its own. All stand
 * at once and only one is used at a time, so that runs can take turns on the same machine.
 *
 * @module
 */

import { ensureSelfSigned } from "../../../relay/cert/mod.ts";
import { GoAgent, startPlainStun } from "../../../tests/interop/support.ts";
import { Lab } from "../../lab/mod.ts";
import { Mesh } from "../../mesh/mod.ts";

/** A machine of a lab. */
export type Host = ReturnType<Lab["host"]>;

/** Whose agents, or none in the packets' way. */
export type Name = "ours" | "theirs" | "direct";

/** A part whose CPU time is read. */
export type Part =
  | "sending agent"
  | "receiving agent"
  | "relay"
  | "sending WireGuard"
  | "receiving WireGuard";

/** Two hosts and the tunnel between them. */
export interface Subject extends AsyncDisposable {
  readonly name: Name;
  readonly from: Host;
  readonly to: Host;
  /** The receiver's address in the tunnel. */
  readonly address: string;
  /** The processes of each part that there is; what another subject has too is compared. */
  readonly parts: Partial<Record<Part, number[]>>;
}

/** The name that the reference agent knows a public relay by. */
const PUBLIC_RELAY = "relay.nexodus.io";
const START_MS = 30_000;

/** Our agents and relay, behind NATs that let nothing direct through. */
export async function startOurs(): Promise<Subject> {
  const lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  return await orEnd(lab, async () => {
    const mesh = await Mesh.start(lab, { agents: ["a", "b"] });
    await mesh.waitForPath("a", "b", "via-derp-relay", START_MS);
    await mesh.waitForPath("b", "a", "via-derp-relay", START_MS);
    return await subject("ours", lab, await mesh.tunnelIp("b"), {
      "sending agent": [mesh.parts.get("a")!.pid],
      "receiving agent": [mesh.parts.get("b")!.pid],
      "relay": withDescendants(mesh.parts.get("relay")!.pid),
    });
  });
}

/** The same agents where they reach each other without a relay: wireguard-go alone. */
export async function startDirect(): Promise<Subject> {
  const lab = await Lab.create({ hosts: 2, nat: "open" });
  return await orEnd(lab, async () => {
    const mesh = await Mesh.start(lab, { agents: ["a", "b"] });
    await mesh.waitForPath("a", "b", "reflexive", START_MS);
    await mesh.waitForPath("b", "a", "reflexive", START_MS);
    return await subject("direct", lab, await mesh.tunnelIp("b"), {});
  });
}

/** The reference agents and relay, with our control plane. */
export async function startTheirs(program: string, derper: string): Promise<Subject> {
  const lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  return await orEnd(lab, async () => {
    const mesh = new Mesh(lab, { agents: [] });
    const [relay] = await Promise.all([
      startDerper(lab, derper),
      startPlainStun(lab),
      mesh.startControl(),
    ]);
    const { regKey } = mesh;
    const agents = ["a", "b"].map((host) => new GoAgent(lab, program, host, { regKey }));
    // It forgets to connect to its relay until it has something to send: one after the other.
    for (const agent of agents) await agent.start();
    const address = await agents[1]!.tunnelIp();
    await firstEcho(lab.host("a"), address);
    const comm = program.slice(program.lastIndexOf("/") + 1).slice(0, 15);
    return await subject("theirs", lab, address, {
      "sending agent": await processesOf(lab.host("a"), comm),
      "receiving agent": await processesOf(lab.host("b"), comm),
      "relay": [relay],
    });
  });
}

async function startDerper(lab: Lab, derper: string): Promise<number> {
  const dir = `${lab.dir}/relay`;
  await ensureSelfSigned(dir, [PUBLIC_RELAY]);
  const { address } = lab.host("relay");
  const line = `echo "${address} ${PUBLIC_RELAY}" >>/etc/hosts`;
  for (const host of lab.hosts) await host.run(["sh", "-c", line]);
  const process = await lab.host("relay").spawn([
    ...[derper, "-a", ":443", "-hostname", PUBLIC_RELAY, "-certmode", "manual", "-certdir", dir],
    ...["-c", `${dir}/derper.json`],
  ], { log: "derper" });
  await process.waitFor(/serving on :443 with TLS/, START_MS);
  return process.pid;
}

async function firstEcho(host: Host, address: string): Promise<void> {
  for (const end = performance.now() + START_MS; performance.now() < end;) {
    if ((await host.run(["ping", "-c1", "-W1", address])).code === 0) return;
  }
  throw new Error(`Cannot measure: ${address} does not answer from ${host.name}`);
}

async function subject(
  name: Name,
  lab: Lab,
  address: string,
  agents: Subject["parts"],
): Promise<Subject> {
  const [from, to] = [lab.host("a"), lab.host("b")];
  await firstEcho(from, address);
  const parts = {
    ...agents,
    "sending WireGuard": await processesOf(from, "wireguard-go"),
    "receiving WireGuard": await processesOf(to, "wireguard-go"),
  };
  return {
    name,
    from,
    to,
    address,
    parts,
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  };
}

async function orEnd<T>(lab: Lab, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

/** The processes of a host's network with this name. */
export async function processesOf(host: Host, comm: string): Promise<number[]> {
  const { stdout } = await host.run(["readlink", "/proc/self/ns/net"]);
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (Deno.readTextFileSync(`/proc/${name}/comm`).trim() !== comm) continue;
      if (Deno.readLinkSync(`/proc/${name}/ns/net`) === stdout.trim()) found.push(Number(name));
    } catch {
      // It has ended.
    }
  }
  if (found.length === 0) throw new Error(`Cannot find ${comm} on ${host.name}`);
  return found;
}

function withDescendants(pid: number): number[] {
  const found = [pid];
  for (const parent of found) {
    const path = `/proc/${parent}/task/${parent}/children`;
    found.push(...Deno.readTextFileSync(path).split(" ").filter(Boolean).map(Number));
  }
  return found;
}
