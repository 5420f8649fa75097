import { equal, ok } from "node:assert/strict";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, underLoad } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { deafen, undeafen } from "./nat_support.ts";
import { pause, pingOn, type RunningPing } from "./support.ts";

/** How often the hosts change between the relay and the direct way. */
const ROUNDS = Number(Deno.env.get("NEXD_TEST_SWITCHES") ?? 1);

/** Fewer answers show nothing. */
const ENOUGH = 500;

/** Waits until both hosts reach each other by a method, with nothing of the change left on either. */
async function settled(mesh: Mesh, method: string, timeoutMs: number): Promise<void> {
  for (const began = Date.now();;) {
    const both = await Promise.all([["a", "b"], ["b", "a"]].map(async ([host, other]) => {
      const { peers } = await mesh.status(host!);
      const peer = peers.find(({ hostname }) => hostname === other)!;
      const tables = await mesh.lab.host(host!).run(["nft", "list", "tables"]);
      const rest = tables.stdout.includes("crossing") ? "stand-ins" : "clean";
      return `${peer.method}, ${peer.code === "probing" ? "changing" : peer.healthy}, ${rest}`;
    }));
    if (both.every((one) => one === `${method}, true, clean`)) return;
    ok(Date.now() - began < underLoad(timeoutMs), `still ${both.join("; ")}`);
    await pause(200);
  }
}

/** Has a host take from its peers what a firewall that knows connections lets through, by their addresses. */
const GUARD = `table inet guard {
  chain in {
    type filter hook input priority 0;
    iifname != "wg0" accept
    ct state established,related accept
    ip saddr 100.64.0.0/10 ip daddr 100.64.0.0/10 icmp type echo-request accept
    ip6 saddr 200::/64 ip6 daddr 200::/64 icmpv6 type echo-request accept
    drop
  }
}`;

async function nft(lab: Lab, host: string, input: string): Promise<void> {
  const { code, stderr } = await lab.host(host).run(["nft", "-f", "-"], { input });
  equal(code, 0, stderr);
}

/** Ends pings of which none may be lost, when there were enough of them to tell. */
async function nothingLost(pings: RunningPing[]): Promise<void> {
  await pause(500);
  for (const ping of pings) {
    const end = Date.now() + underLoad(20_000);
    while (ping.replies().length <= ENOUGH && Date.now() < end) await pause(100);
    const { received, lost } = await ping.stop();
    ok(received > ENOUGH, `only ${received} pings`);
    equal(lost, 0, `${lost} of ${received + lost} pings lost`);
  }
}

/** Two pings each 10 ms, one for each IP version and direction. */
const pings = (mesh: Mesh) =>
  Promise.all([pingOn(mesh, "a", "b", 10), pingOn(mesh, "b", "a", 10, 6)]);

Deno.test("hosts come behind the VPC's WireGuard relay together, and leave it, without losing a ping", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 3, nat: ["cone", "cone", "open"] });
  await deafen(lab);
  for (const host of ["a", "b"]) await nft(lab, host, GUARD);
  // Only one of the two reaches the relay at first.
  const cut = (from: string) =>
    `table inet cut { chain in { type filter hook input priority 0; ${from} meta l4proto udp drop; }; }`;
  await nft(lab, "b", cut(`ip saddr ${lab.host("c").publicAddress}`));
  const mesh = await Mesh.start(lab, { agents: ["a", "b", "c"], hosts: { c: { mode: "relay" } } });
  await mesh.waitForPath("a", "c", "relay-node-peer", 15_000);
  for (const [host, other] of [["a", "b"], ["b", "a"]] as const) {
    await mesh.waitForPath(host, other, "via-derp-relay", 20_000);
  }
  let running = await pings(mesh);
  await nft(lab, "b", "delete table inet cut");
  await settled(mesh, "via-relay", 40_000);
  await nothingLost(running);

  for (let round = 0; round < ROUNDS; round++) {
    running = await pings(mesh);
    await undeafen(lab);
    await settled(mesh, "reflexive", 40_000);
    await nothingLost(running);

    // The direct way dies: the relay carries on.
    const ping = await pingOn(mesh, "a", "b", 20);
    await pause(2_500);
    await deafen(lab);
    const died = Date.now();
    const resumed = await ping.replyAfter(died + 300, 20_000);
    ok(resumed - died < underLoad(6_000), `it took ${resumed - died} ms`);
    await settled(mesh, "via-relay", 20_000);
    await ping.stop();
  }

  // The relay dies, too, without a word.
  const ping = await pingOn(mesh, "a", "b", 20);
  await pause(2_500);
  await nft(lab, "c", cut(""));
  const died = Date.now();
  const resumed = await ping.replyAfter(died + 500, 20_000);
  ok(resumed - died < underLoad(8_000), `it took ${resumed - died} ms`);
  await settled(mesh, "via-derp-relay", 20_000);
  await ping.stop();
});
