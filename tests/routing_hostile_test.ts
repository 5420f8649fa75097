import { equal, match, ok } from "node:assert/strict";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { addLan, answers, at, inLab, look } from "./routing_support.ts";
import { pingOn } from "./support.ts";

Deno.test("nobody is cut off by a peer that advertises the servers, the host's own networks and its name server", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  // A second network of the victim's, and a name server on the Internet.
  await addLan(lab, "a", "172.30.1", "fd00:30:1");
  await inLab(lab, "ip address add 203.0.113.53/24 dev wan");
  await lab.host("a").run(["sh", "-c", "echo nameserver 203.0.113.53 >/etc/resolv.conf"]);
  const clean = await look(lab, "a");
  const hostile = [
    ...["203.0.113.0/24", "192.168.1.0/25", "172.30.1.2/32", "fd00:30:1::2/128"],
  ].flatMap((network) => ["--advertise-cidr", network]);
  const mesh = await Mesh.start(lab, {
    agents: ["a", "b"],
    env: { NEXD_STUN_INTERVAL: "1000" },
    hosts: { b: { mode: "router", args: hostile } },
  });
  await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
  const ping = await pingOn(mesh, "a", "b", 20);
  const via = (address: string) => at(lab, "a", `ip route get ${address}`);
  for (const address of ["203.0.113.2", "203.0.113.3", "203.0.113.53", "192.168.1.1"]) {
    match(await via(address), /dev eth0/, address);
  }
  for (const address of ["172.30.1.2", "fd00:30:1::2"]) {
    match(await via(address), /dev lan/, address);
    await answers(lab, "a", address);
  }
  await answers(lab, "a", "203.0.113.53");
  // Only what nobody else has goes to it.
  match(await via("203.0.113.77"), /dev wg0/);
  const { host = [], netcheck } = await mesh.status("a");
  match(host.join("\n"), /172\.30\.1\.2\/32 stays with lan: this host has it/);

  // It may not speak in the name of a machine in the victim's network either.
  const spoof = `ip address add 172.30.1.2/32 dev lo; ping -c2 -i0.2 -W1 -I 172.30.1.2 ${
    (await mesh.status("a")).tunnel_ipv4
  } || true`;
  await at(lab, "b", spoof);
  match(
    await at(lab, "a", "nft list chain inet nexd_routing_wg0 sources"),
    /packets [1-9]\d* .*drop/,
  );

  // Servers that are left go on answering: the control plane, STUN, and the relay under the ping.
  for (const end = Date.now() + 5_000; Date.now() < end;) {
    if ((await mesh.status("a")).netcheck!.rounds > netcheck!.rounds + 1) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const after = await mesh.status("a");
  equal(after.netcheck!.error, undefined);
  equal(after.control.state, "connected");
  equal(after.relay?.reconnects, 0);
  equal((await ping.stop()).lost, 0);

  // Its next life begins among the same lies: joins, and finds the relay.
  await mesh.kill("a");
  await mesh.startAgent("a");
  await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
  ok((await mesh.ping("a", "b", { count: 20, intervalMs: 20 })).received === 20);
  await mesh.kill("a", "SIGTERM");
  equal(await look(lab, "a"), clean);
});
