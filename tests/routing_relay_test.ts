import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, underLoad } from "../scripts/lab/support.ts";
import { Mesh, taskArguments } from "../scripts/mesh/mod.ts";
import { addLan, answers, at, look } from "./routing_support.ts";

Deno.test("hosts that use relays only reach each other and their networks through the VPC's relay", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 4, nat: ["cone", "symmetric", "open", "open"] });
  await addLan(lab, "b", "172.20.7", "fd00:20:7");
  const clean = await look(lab, "c");
  const router = ["--advertise-cidr", "172.20.7.0/24", "--advertise-cidr", "fd00:20:7::/64"];
  const mesh = await Mesh.start(lab, {
    agents: ["c"],
    hosts: {
      a: { args: ["--relay-only"] },
      b: { mode: "router", args: [...router, "--network-router", "--relay-only"] },
      c: { mode: "relay" },
    },
  });
  await Promise.all(["a", "b"].map((host) => mesh.startAgent(host)));
  // What is advertised is what is used.
  const relay = await mesh.status("c");
  equal(relay.listen_port, 51820);
  match(relay.reflexive, /:51820$/);
  const { device } = JSON.parse(await Deno.readTextFile(`${lab.dir}/c/cache.json`));
  equal(device.relay, true);
  match(await at(lab, "c", "cat /proc/net/udp"), /:CA6C /);

  for (const [host, peer] of [["a", "b"], ["b", "a"]] as const) {
    await mesh.waitForPath(host, "c", "relay-node-peer", 20_000);
    await waitForMethod(mesh, host, peer, "via-relay");
    const { tunnel_ipv4, tunnel_ipv6 } = await mesh.status(peer);
    for (const address of [tunnel_ipv4, tunnel_ipv6]) await answers(lab, host, address);
  }
  for (const address of ["172.20.7.2", "fd00:20:7::2"]) await answers(lab, "a", address);
  // The relay's peer has every prefix once, of both IP versions (§9, 13).
  const carrier = (await mesh.status("a")).peers.find(({ hostname }) => hostname === "c")!;
  deepEqual(carrier.allowed_ips.slice().sort(), [...new Set(carrier.allowed_ips)].sort());
  for (const network of ["172.20.7.0/24", "fd00:20:7::/64", "100.64.0.0/10", "200::/64"]) {
    ok(carrier.allowed_ips.includes(network), network);
  }
  const second = await lab.host("d").run([
    Deno.execPath(),
    ...taskArguments("agent"),
    ...["relay", "--reg-key", mesh.regKey, "--ca", `${lab.dir}/control/certs/ca.crt`],
    ...["--stun-server", "relay:3478", "--stun-server", "control:3478"],
    ...["--state-dir", `${lab.dir}/d`, "--unix-socket", `${lab.dir}/d.sock`],
  ], { timeoutMs: 20_000, env: { NO_COLOR: "1" } });
  equal(second.code, 1);
  match(second.stderr, /^[^\n]*The VPC has a relay already, c; delete that device first[^\n]*\n$/);

  // The same relay may start again: peers that were idle keep their sessions with the one before,
  // and would not notice for a long time that it has none with them. Behind a symmetric NAT they are
  // where the relay had them, not where they say they are.
  await mesh.restart("c", "SIGTERM");
  await answers(lab, "a", (await mesh.status("b")).tunnel_ipv4, 5_000);

  // A device that goes takes its networks along.
  await mesh.kill("b", "SIGTERM");
  const logout = await lab.host("b").run([
    Deno.execPath(),
    ...taskArguments("agent"),
    ...["logout", "--reg-key", mesh.regKey, "--ca", `${lab.dir}/control/certs/ca.crt`],
    ...["--state-dir", `${lab.dir}/b`],
  ], { timeoutMs: 20_000, env: { NO_COLOR: "1" } });
  equal(logout.code, 0, logout.stderr);
  const deleted = Date.now();
  while (
    /172\.20\.7|fd00:20:7:/.test(
      await at(lab, "a", "ip -4 route show table all; ip -6 route show table all"),
    )
  ) {
    ok(
      Date.now() - deleted < underLoad(10_000),
      "networks of a deleted device are still routed to it",
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }

  await mesh.kill("c", "SIGTERM");
  equal(await look(lab, "c"), clean);
});

async function waitForMethod(mesh: Mesh, host: string, peer: string, method: string) {
  for (const end = Date.now() + 20_000;;) {
    const found = (await mesh.status(host)).peers.find(({ hostname }) => hostname === peer);
    if (found?.method === method) return;
    if (Date.now() > end) throw new Error(`${host} reaches ${peer} by ${found?.method}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
