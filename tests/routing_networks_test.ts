import { equal, match, ok } from "node:assert/strict";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, underLoad } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { addLan, answers, at, inLab, look } from "./routing_support.ts";

const CIDRS = ["--advertise-cidr", "172.20.7.0/24", "--advertise-cidr", "fd00:20:7::/64"];
const MACHINES = ["172.20.7.2", "fd00:20:7::2"];

/** Waits until a host's rules and routes are as they should be. */
async function until(lab: Lab, host: string, done: (text: string) => boolean): Promise<number> {
  const began = Date.now();
  while (!done(await at(lab, host, "ip rule; ip route show table all"))) {
    ok(Date.now() - began < underLoad(10_000), `${host} is not as it should be within 10 s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return Date.now() - began;
}

Deno.test("networks behind a router are reached by a direct way, after crashes too, and given up with it", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "open" });
  await addLan(lab, "b", "172.20.7", "fd00:20:7");
  const before = { a: await look(lab, "a"), b: await look(lab, "b") };
  const hosts = { b: { mode: "router" as const, args: [...CIDRS, "--network-router"] } };
  const mesh = await Mesh.start(lab, { agents: ["a", "b"], hosts });
  await mesh.waitForPath("a", "b", "reflexive", 20_000);
  for (const address of MACHINES) await answers(lab, "a", address);
  match((await mesh.status("a")).host!.join(), /networks behind peers: 172.20.7.0\/24/);

  // Killed, it leaves rules behind, which its next life takes away or uses again.
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await Promise.all([mesh.kill("a", signal), mesh.kill("b", signal)]);
    if (signal === "SIGKILL") {
      match(await look(lab, "a"), /lookup 29000/);
      match(await look(lab, "b"), /nexd_routing_wg0/);
    }
    await Promise.all([mesh.startAgent("a"), mesh.startAgent("b")]);
    for (const address of MACHINES) await answers(lab, "a", address);
  }

  // A router that is none any more says so, and peers give up its networks.
  await mesh.kill("b", "SIGTERM");
  equal(await look(lab, "b"), before.b);
  delete (mesh.options.hosts as Partial<typeof hosts>).b;
  await mesh.startAgent("b");
  await until(lab, "a", (text) => !text.includes("172.20.7.0/24"));
  await mesh.kill("a", "SIGTERM");
  equal(await look(lab, "a"), before.a);
});

Deno.test("networks behind a router reach peers with their own addresses through the DERP relay", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  await addLan(lab, "b", "172.20.7", "fd00:20:7", true);
  const before = await look(lab, "b");
  const mesh = await Mesh.start(lab, {
    agents: ["a", "b"],
    hosts: { b: { mode: "router", args: [...CIDRS, "--network-router", "--disable-nat"] } },
  });
  await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
  for (const address of MACHINES) await answers(lab, "a", address);
  const { tunnel_ipv4, tunnel_ipv6 } = await mesh.status("a");
  for (const address of [tunnel_ipv4, tunnel_ipv6]) {
    match(await inLab(lab, `ip netns exec lan-b ping -n -c1 -W3 ${address}`), / 0% packet loss/);
  }
  // What was off before forwards for the tunnel only.
  const filter = await at(lab, "b", "nft list table inet nexd_routing_wg0");
  match(filter, /set before4 {[^}]*"lan"/);
  await mesh.kill("b", "SIGTERM");
  equal(await look(lab, "b"), before);
});
