import { equal, match, ok } from "node:assert/strict";
import type { PeerStatus } from "../agent/ctl/mod.ts";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, underLoad } from "../scripts/lab/support.ts";
import { Mesh, taskArguments } from "../scripts/mesh/mod.ts";
import { deafen, giveIpv6, onRouter, renat, undeafen } from "./nat_support.ts";
import { inMesh, pause, pingOn } from "./support.ts";

/** The one peer of a host. */
const peerOf = async (mesh: Mesh, host: string): Promise<PeerStatus> =>
  (await mesh.status(host)).peers[0]!;

Deno.test("looking for a direct way loses no packet, in vain or not, and a dead one is left in seconds", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "cone" });
  await deafen(lab);
  const mesh = await Mesh.start(lab, { agents: ["a", "b"] });
  // Without probes each side would wait for the direct way for half a minute.
  await mesh.waitForPath("a", "b", "via-derp-relay", 15_000);
  await mesh.waitForPath("b", "a", "via-derp-relay", 15_000);
  equal((await mesh.status("a")).netcheck!.path_probes, "on");

  const ping = await pingOn(mesh, "a", "b", 10);
  await pause(7_000);
  // The host that calls is answered through the relay; the one that is called need not ask there.
  const both = () => Promise.all([peerOf(mesh, "a"), peerOf(mesh, "b")]);
  let vain = await both();
  for (const end = Date.now() + 10_000; Date.now() < end; vain = await both()) {
    if (vain.some(({ paths = [] }) => paths.length > 0)) break;
    await pause(100);
  }
  const answered = vain.flatMap(({ paths = [] }) => paths.map(({ endpoint }) => endpoint));
  ok(answered.length > 0, "nobody is answered through the relay");
  ok(answered.every((endpoint) => endpoint.startsWith("127.")), answered.join());
  for (const { method } of vain) equal(method, "via-derp-relay");

  // What a person sees of it.
  const seen = lab.host("a").run([
    ...[Deno.execPath(), ...taskArguments("agent"), "ping", "b", "--until-direct", "-c", "0"],
    ...["--interval", "200", "--unix-socket", mesh.socketOf("a")],
  ], { env: { NO_COLOR: "1" }, timeoutMs: 40_000 });
  await pause(2_000); // it has said how it is before
  await undeafen(lab);
  await Promise.all([
    mesh.waitForPath("a", "b", "reflexive", 30_000),
    mesh.waitForPath("b", "a", "reflexive", 30_000),
  ]);
  const { code, stdout } = await seen;
  equal(code, 0, stdout);
  match(stdout, /^b \(100\.\S+\): [\d.]+ ms via DERP relay relay$/m);
  match(stdout, /^-- path changed: via-derp-relay -> reflexive: \S/m);
  match(stdout, /^b \(100\.\S+\): [\d.]+ ms via [\d.]+:\d+ \(reflexive\)\n\d+ of \d+ answered/m);
  await pause(1_000);
  const { received, lost } = await ping.stop();
  equal(lost, 0, `${lost} of ${received + lost} pings lost`);

  const before = await pingOn(mesh, "b", "a", 10);
  await pause(3_000); // the path is known to be busy
  await deafen(lab);
  const died = Date.now();
  const resumed = await before.replyAfter(died + 300, 20_000);
  ok(resumed - died < underLoad(6_000), `it took ${resumed - died} ms`);
  await before.stop();
});

Deno.test("two hosts behind symmetric NATs talk over IPv6, and over the relay when that is gone", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const { relay, hosts } = await giveIpv6(lab, ["a", "b"]);
  const agentArgs = ["--stun-server", `[${relay}]:3478`];
  const mesh = await Mesh.start(lab, { agents: ["a", "b"], agentArgs });
  for (const [host, other] of [["a", "b"], ["b", "a"]] as const) {
    const path = await mesh.waitForPath(host, other, "reflexive", 20_000);
    ok(path.endpoint.startsWith(`[${hosts[other]}]:`), path.endpoint);
    equal((await mesh.status(host)).nat, "symmetric");
  }
  equal((await mesh.ping("a", "b", { count: 100, intervalMs: 10 })).received, 100);

  const ping = await pingOn(mesh, "a", "b", 20);
  await pause(3_000);
  await onRouter(lab, "a", "nft insert rule ip6 filter forward meta l4proto udp drop");
  const died = Date.now();
  const resumed = await ping.replyAfter(died + 300, 20_000);
  ok(resumed - died < underLoad(6_000), `it took ${resumed - died} ms`);
  await ping.stop();
  await mesh.waitForPath("a", "b", "via-derp-relay", 10_000);
});

Deno.test("a host behind a symmetric NAT reaches one that takes packets from anywhere", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: ["symmetric", "open"] });
  const mesh = await Mesh.start(lab, { agents: ["a", "b"] });
  await mesh.waitForPath("a", "b", "reflexive", 20_000);
  await mesh.waitForPath("b", "a", "reflexive", 20_000);
  await pause(3_500); // a trial ends
  const [path, back] = [await peerOf(mesh, "a"), await peerOf(mesh, "b")];
  // One found that the other answers, and the other one's WireGuard may have followed.
  ok([path, back].some(({ code }) => code === "answered"), `${path.code}, ${back.code}`);
  ok(path.endpoint.startsWith(`${lab.host("b").publicAddress}:`), path.endpoint);
  equal((await mesh.ping("b", "a", { count: 100, intervalMs: 10 })).received, 100);
});

Deno.test("two hosts leave the relay within seconds when their NATs become cones, and lose nothing by it", async () => {
  const env = { NEXD_STUN_INTERVAL: "2000" };
  await inMesh({ nat: "symmetric", env }, async (mesh, lab) => {
    await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
    await mesh.waitForPath("b", "a", "via-derp-relay", 20_000);
    await Promise.all([renat(lab, "a", ""), renat(lab, "b", "")]);
    const ping = await pingOn(mesh, "a", "b", 10);
    const began = Date.now();
    await Promise.all([
      mesh.waitForPath("a", "b", "reflexive", 20_000),
      mesh.waitForPath("b", "a", "reflexive", 20_000),
    ]);
    ok(Date.now() - began < underLoad(15_000), `it took ${Date.now() - began} ms`);
    await pause(1_000);
    const { received, lost } = await ping.stop();
    equal(lost, 0, `${lost} of ${received + lost} pings lost`);

    // And back: one NAT forgets everything under traffic.
    const busy = await pingOn(mesh, "a", "b", 20);
    await pause(3_000);
    await renat(lab, "a", "fully-random");
    const changed = Date.now();
    const resumed = await busy.replyAfter(changed + 500, 20_000);
    ok(resumed - changed < underLoad(8_000), `it took ${resumed - changed} ms`);
    await busy.stop();
  });
});
