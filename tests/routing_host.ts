/**
 * Runs inside a host of a lab: rooms of routing on interfaces that need no WireGuard, and what they
 * leave on the host at each step. Ends with a failed assertion, or with "done".
 *
 * @module
 */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import type { HostFacts } from "../agent/host/mod.ts";
import type { PeerPlan } from "../agent/peering/mod.ts";
import { routing, type RoutingRoom } from "../agent/routing/mod.ts";

async function ip(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("ip", { args }).output();
  const text = new TextDecoder();
  equal(code, 0, text.decode(stderr));
  return text.decode(stdout);
}

async function look(): Promise<string> {
  const tables = ["29000", "29001", "29010", "29011"].map((table) =>
    ip("route", "show", "table", table).catch(() => "")
  );
  const nft = new Deno.Command("nft", { args: ["list", "tables"] }).output();
  return [
    await ip("rule"),
    await ip("-6", "rule"),
    ...await Promise.all(tables),
    new TextDecoder().decode((await nft).stdout),
    await Deno.readTextFile("/proc/sys/net/ipv4/ip_forward"),
    await Deno.readTextFile("/proc/sys/net/ipv4/conf/all/src_valid_mark"),
  ].join("\n");
}

async function makeInterface(name: string): Promise<void> {
  await ip("link", "add", name, "type", "veth", "peer", "name", `${name}p`);
  for (const end of [name, `${name}p`]) await ip("link", "set", end, "up");
}

const planOf = (networks: string[], exitNode = false): PeerPlan => ({
  peer: {
    id: "peer",
    hostname: "peer",
    publicKey: "B".repeat(43) + "=",
    allowedIps: ["100.64.0.2/32"],
    networks,
    exitNode,
    symmetric: false,
    online: true,
    notes: [],
  },
  method: "reflexive",
  code: "both-cone",
  reason: "",
  allowedIps: ["100.64.0.2/32", ...networks],
  networks,
  keepaliveSeconds: 20,
  configured: true,
  healthy: true,
  probes: { speaks: false, search: [], busy: false },
  history: [],
});

/** One pass of an agent. */
async function pass(room: RoutingRoom, interfaceName: string, plans: PeerPlan[]): Promise<void> {
  const facts = {
    interfaceName,
    self: { ipv4Cidr: "100.64.0.0/10", ipv6Cidr: "200::/64" },
    plans,
    relays: [{ host: "203.0.113.3", port: 443 }],
    servers: [{ host: "192.0.2.200", port: 443 }],
  } as unknown as HostFacts;
  await room.prepare!(facts);
  await room.apply!(facts);
}

const runDir = Deno.args[0]!;
const roomOf = (interfaceName: string, more = {}) =>
  routing({ interfaceName, mode: "agent", runDir, ...more });
const NETWORK = "172.20.7.0/24";

const before = await look();
for (const name of ["t0", "t1"]) await makeInterface(name);

// Nothing to route: nothing changed.
const one = roomOf("t0"), other = roomOf("t1");
await pass(one, "t0", []);
equal(await look(), before);

// Two agents want the same; each has its own, and takes only that along.
await pass(one, "t0", [planOf([NETWORK])]);
await pass(other, "t1", [planOf([NETWORK])]);
match(await ip("route", "show", "table", "29000"), /172\.20\.7\.0\/24 dev t0/);
match(await ip("route", "show", "table", "29010"), /172\.20\.7\.0\/24 dev t1/);
match(await ip("route", "get", "172.20.7.9"), /dev t0/);
const both = await look();
await pass(one, "t0", [planOf([NETWORK])]);
equal(await look(), both, "a second pass changed something");
await one.close();
match(await ip("route", "get", "172.20.7.9"), /dev t1/);

// The peer's device is deleted: so is its network, with the next pass.
await pass(other, "t1", []);
ok(!(await look()).includes(NETWORK));
await other.close();
equal(await look(), before);

// A route of the host's own comes first, and is told of.
await ip("route", "add", "172.20.7.0/25", "dev", "t1");
const polite = roomOf("t0");
await pass(polite, "t0", [planOf([NETWORK])]);
match(await ip("route", "get", "172.20.7.9"), /dev t1/);
match(await ip("route", "get", "172.20.7.200"), /dev t0/);
match(polite.notes().join("\n"), /172\.20\.7\.0\/25 of 172\.20\.7\.0\/24 stays with t1/);
await ip("route", "del", "172.20.7.0/25", "dev", "t1");

// The interface is opened again: its routes went with it, and come back.
await ip("link", "del", "t0");
await makeInterface("t0");
for (const end = Date.now() + 10_000; !(await look()).includes(NETWORK);) {
  ok(Date.now() < end, "the route did not come back");
  await new Promise((resolve) => setTimeout(resolve, 200));
  await pass(polite, "t0", [planOf([NETWORK])]);
}

// The agent crashes as an exit node's client; its next life finds it all.
const client = roomOf("t1", { exitNodeClient: true });
await pass(client, "t1", [planOf(["0.0.0.0/0", "::/0"], true)]);
match(await ip("route", "get", "203.0.113.99"), /dev t1/);
match(await ip("route", "get", "203.0.113.3"), /dev eth0/);
match(await ip("route", "get", "203.0.113.99", "mark", "0x6e640000"), /dev eth0/);
match(await ip("rule"), /to 192\.0\.2\.200 goto/);
equal((await Deno.readTextFile("/proc/sys/net/ipv4/conf/all/src_valid_mark")).trim(), "1");
deepEqual(client.exitNodes().map(({ hostname, inUse }) => [hostname, inUse]), [["peer", true]]);
await roomOf("t1").repair!();
await roomOf("t0").repair!();
equal(await look(), before);
await roomOf("t1").repair!();

// A relay that was killed gives forwarding back, too.
const relay = roomOf("t0", { mode: "relay" });
await pass(relay, "t0", []);
equal((await Deno.readTextFile("/proc/sys/net/ipv4/ip_forward")).trim(), "1");
await rejects(relay.setExitNodeClient(true), /carries packets for others/);
await roomOf("t0", { mode: "relay" }).repair!();
equal(await look(), before);
await rejects(roomOf("t0").setExitNodeClient(true), /no exit node in the VPC/);

Deno.stdout.writeSync(new TextEncoder().encode("done\n"));
