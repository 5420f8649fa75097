/**
 * The unmodified Go agent with our control plane, relay and agent. Set NEXD_TEST_GO_NEXD to its path.
 *
 * What it does that these tests must allow for: it connects to its relay with the first packet it
 * sends there, so two agents may meet only at the second try of a handshake, 5 s after the later one
 * came up; restarted with stored keys it registers but relays nothing; and its STUN requests are
 * bare, which a DERP relay does not answer.
 */

import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { Lab, type LabProcess, type NatKind } from "../../scripts/lab/mod.ts";
import { Mesh } from "../../scripts/mesh/mod.ts";
import {
  devices,
  GoAgent,
  ping,
  programOf,
  startPlainStun,
  startPublicRelay,
  until,
} from "./support.ts";

/** Header only: Binding request, no attributes, cookie, transaction id. */
const BARE_STUN_REQUEST = /^000100002112a442[0-9a-f]{24}$/;

/** Echoes in one run of pings. */
const PINGS = 50;
/** The Go agent may overwrite a packet that it has queued when the next one comes at once. */
const FEWEST_ANSWERS = 45;

/** Runs a test with everything but the agents in a lab, or says why it cannot. */
async function withGoAgent(
  options: { hosts: number; nat: NatKind },
  test: (mesh: Mesh, program: string, stun: LabProcess[]) => Promise<void>,
): Promise<void> {
  const program = await programOf("NEXD_TEST_GO_NEXD", "the Go agent, nexd");
  if (program === undefined) return;
  await using lab = await Lab.create(options);
  const agentArgs = ["--public-relay=relay.nexodus.io:443"];
  const mesh = new Mesh(lab, { agents: ["a"], agentArgs });
  const [stun] = await Promise.all([
    startPlainStun(lab),
    startPublicRelay(lab),
    mesh.startControl(),
  ]);
  await test(mesh, program, stun);
}

/** Waits until our agent on `a` has a healthy path of a kind to a tunnel address. */
async function reached(mesh: Mesh, address: string, method: string): Promise<void> {
  await until(`a healthy path to ${address}, ${method},`, 20_000, async () => {
    const { peers } = await mesh.status("a");
    const peer = peers.find((peer) => peer.tunnel_ipv4 === address);
    return peer?.method === method && peer.healthy && peer.last_handshake_ms !== null;
  });
}

/** Pings along each way, `[host, tunnel address]`. */
async function pingAll(mesh: Mesh, ways: [string, string][]): Promise<void> {
  for (const [from, to] of ways) {
    const { received } = await ping(mesh.lab, from, to, PINGS);
    ok(received >= FEWEST_ANSWERS, `${from} got ${received} of ${PINGS} answers from ${to}`);
  }
}

Deno.test("the Go agent meets ours through our relay when NATs are symmetric, with STUN or without", async () => {
  await withGoAgent({ hosts: 3, nat: "symmetric" }, async (mesh, program, stun) => {
    const { lab, regKey } = mesh;
    const go = new GoAgent(lab, program, "b", { regKey });
    // Without STUN it takes its NAT for an easy one and publishes an endpoint that is no address.
    const stunServers = ["one.invalid:3478", "two.invalid:3478"];
    const blind = new GoAgent(lab, program, "c", { regKey, stunServers });
    await Promise.all([mesh.startAgent("a"), go.start(), blind.start()]);
    const ours = await mesh.tunnelIp("a");
    const [theirs, blindly] = [await go.tunnelIp(), await blind.tunnelIp()];
    for (const server of stun) {
      match(await server.waitFor(/^[0-9a-f]{8,}$/, 1_000), BARE_STUN_REQUEST);
    }
    const published = (await devices(lab, regKey)).map((device) => [
      device.hostname,
      device.symmetric_nat,
      ...device.endpoints.map((endpoint) => endpoint.source),
    ]);
    deepEqual(published, [
      ["a", true, "local", "stun:"],
      ["b", true, "local", "stun:"],
      ["c", false, "local", "stun:"],
    ]);

    await Promise.all([theirs, blindly].map((ip) => reached(mesh, ip, "via-derp-relay")));
    const { peers, skipped, relay, public_key, tunnel_ipv6 } = await mesh.status("a");
    deepEqual(peers.map((p) => [p.hostname, p.code, p.relay, p.notes ?? []]).sort(), [
      ["b", "both-symmetric", "relay.nexodus.io", []],
      ["c", "self-symmetric", "relay.nexodus.io", ["endpoint invalid AddrPort is not an ip:port"]],
    ]);
    deepEqual([skipped, relay?.reconnects], [[], 0]);
    await pingAll(mesh, [["a", theirs], ["b", ours], ["a", blindly], ["c", ours]]);

    for (const agent of [go, blind]) {
      match(await agent.call("Status"), /^Status: Running/);
      equal((await agent.methods())[ours], "via-derp-relay");
      const us = (await agent.peers())[public_key];
      deepEqual([us?.Healthy, us?.AllowedIPs], [true, [`${ours}/32`, `${tunnel_ipv6}/128`]]);
    }
  });
});

Deno.test("the Go agent meets ours directly when NATs are cones", async () => {
  await withGoAgent({ hosts: 2, nat: "cone" }, async (mesh, program) => {
    const go = new GoAgent(mesh.lab, program, "b", { regKey: mesh.regKey });
    await Promise.all([mesh.startAgent("a"), go.start()]);
    const [ours, theirs] = [await mesh.tunnelIp("a"), await go.tunnelIp()];
    await reached(mesh, theirs, "reflexive");
    equal((await go.methods())[ours], "reflexive");
    await pingAll(mesh, [["a", theirs], ["b", ours]]);
  });
});

Deno.test("the Go agent keeps its device when it restarts, and is a new one when its keys are gone", async () => {
  await withGoAgent({ hosts: 2, nat: "symmetric" }, async (mesh, program) => {
    const { lab, regKey } = mesh;
    const go = new GoAgent(lab, program, "b", { regKey });
    const { id, registered } = await go.start();
    ok(registered);
    const address = await go.tunnelIp();
    const [before] = await devices(lab, regKey);

    // The same keys are refused as known (409); with the update that follows its new port comes.
    await go.stop();
    deepEqual(await go.start("--listen-port", "51999"), { id, registered: false });
    const [after, ...others] = await devices(lab, regKey);
    deepEqual(others, []);
    const local = `${lab.host("b").address}:51999`;
    notEqual(before!.endpoints[0]?.address, local);
    equal(after!.endpoints[0]?.address, local);
    deepEqual(
      [after!.id, after!.public_key, after!.ipv4_tunnel_ips],
      [id, before!.public_key, before!.ipv4_tunnel_ips],
    );
    equal(await go.tunnelIp(), address);

    // It relays only with keys it has just made.
    await go.stop();
    await go.wipe();
    const [fresh] = await Promise.all([go.start(), mesh.startAgent("a")]);
    ok(fresh.registered);
    notEqual(fresh.id, id);
    const [ours, theirs] = [await mesh.tunnelIp("a"), await go.tunnelIp()];
    notEqual(theirs, address);
    await reached(mesh, theirs, "via-derp-relay");
    await pingAll(mesh, [["a", theirs], ["b", ours]]);
  });
});
