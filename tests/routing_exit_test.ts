import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { callAgent } from "../agent/ctl/mod.ts";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { answers, at, inLab, look } from "./routing_support.ts";
import { pause, pingOn } from "./support.ts";

/** Counts, on a host's router, the packets that go out to anything but the servers. */
const COUNTING = `nft -f - <<END
table ip count {
  set servers { type ipv4_addr; elements = { 203.0.113.2, 203.0.113.3 } }
  chain forward {
    type filter hook forward priority filter - 5;
    iifname lan ip daddr 203.0.113.3 tcp dport 443 counter comment "relay"
    iifname lan ip daddr 203.0.113.2 tcp dport 443 counter comment "control"
    iifname lan ip daddr @servers udp dport 3478 counter comment "stun"
    iifname lan ip daddr != @servers counter comment "other"
  }
}
END`;

/** The router's counts, by what was counted. */
async function counts(lab: Lab, host: string): Promise<Record<string, number>> {
  const text = await at(lab, `router-${host}`, "nft list table ip count");
  return Object.fromEntries(
    [...text.matchAll(/counter packets (\d+) .* comment "(\w+)"/g)]
      .map(([, n, name]) => [name!, Number(n)]),
  );
}

Deno.test("everything but the agent's own connections goes through the exit node while it is on", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: ["open", "symmetric"] });
  const clean = await look(lab, "a");
  for (const host of ["a", "b"]) await at(lab, `router-${host}`, COUNTING);
  // Another address on the Internet.
  await inLab(lab, "ip address add 203.0.113.200/24 dev wan");
  // The strictest check of sources that a host may have.
  await at(lab, "a", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 >$f; done");
  const mesh = await Mesh.start(lab, {
    agents: ["a", "b"],
    env: { NEXD_STUN_INTERVAL: "1000" },
    agentArgs: ["--relay-only"],
    hosts: { b: { mode: "router", args: ["--exit-node"] } },
  });
  await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
  const ctl = (method: string) => callAgent(mesh.socketOf("a"), method);
  const [node] = JSON.parse(await ctl("ListExitNodes"));
  equal(node.PublicKey, (await mesh.status("b")).public_key);
  equal((await counts(lab, "a")).other, 0);

  const ping = await pingOn(mesh, "a", "b", 10);
  for (let round = 0; round < 3; round++) {
    await ctl("EnableExitNodeClient");
    const before = [await counts(lab, "a"), await counts(lab, "b")];
    for (const address of ["203.0.113.200", "203.0.113.1"]) await answers(lab, "a", address);
    const after = [await counts(lab, "a"), await counts(lab, "b")];
    equal(after[0]!.other, before[0]!.other, "something of the client left outside the tunnel");
    ok(after[1]!.other! >= before[1]!.other! + 2, "the exit node sent nothing");
    ok(after[0]!.relay! > before[0]!.relay!, "the relay's connection moved");
    match(await at(lab, "a", "ip route get 203.0.113.200"), /dev wg0/);
    for (const outside of ["203.0.113.2", "203.0.113.3", "198.51.100.1", "169.254.169.254"]) {
      match(await at(lab, "a", `ip route get ${outside}`), /dev eth0/, outside);
    }
    // Who came from outside is answered there: an administrator is not cut off by switching.
    match(await inLab(lab, "ping -n -c1 -W2 -I 203.0.113.200 198.51.100.2"), / 0% packet loss/);
    match((await mesh.status("a")).host!.join("\n"), /everything goes to exit node/);
    if (round === 0) {
      const { ipv4 } = (await mesh.status("a")).netcheck!;
      const rounds = (await mesh.status("a")).netcheck!.rounds;
      for (
        let wait = 0;
        wait < 100 && (await mesh.status("a")).netcheck!.rounds < rounds + 2;
        wait++
      ) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      equal((await mesh.status("a")).netcheck!.ipv4.changed_ms, ipv4.changed_ms);
      equal((await mesh.status("a")).netcheck!.error, undefined);
    }
    await ctl("DisableExitNodeClient");
    match(await at(lab, "a", "ip route get 203.0.113.200"), /dev eth0/);
  }
  const { received, lost } = await ping.stop();
  deepEqual(lost, 0, `of ${received} pings`);
  equal((await mesh.status("a")).relay?.reconnects, 0);
  equal((await mesh.status("a")).control.state, "connected");
  await rejects(
    callAgent(mesh.socketOf("b"), "EnableExitNodeClient"),
    /carries packets for others/,
  );

  await ctl("EnableExitNodeClient");
  await mesh.kill("a", "SIGTERM");
  await at(lab, "a", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done");
  equal(await look(lab, "a"), clean);
});

Deno.test("connections to a relay of the VPC stay outside the exit node's tunnel, new ones as well", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 3, nat: ["open", "symmetric", "open"] });
  await inLab(lab, "ip address add 203.0.113.200/24 dev wan");
  const relayAt = lab.host("c").publicAddress;
  await at(lab, "router-a", COUNTING.replaceAll("203.0.113.3", relayAt));
  const mesh = await Mesh.start(lab, {
    agents: [],
    agentArgs: ["--relay-only"],
    hosts: { b: { mode: "router", args: ["--exit-node"] } },
  });
  await mesh.startVpcRelay("c");
  for (const host of ["a", "b"]) await mesh.startAgent(host);
  await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
  const home = async () => {
    const { relay } = await mesh.status("a");
    return relay?.host === "c" && relay.state === "connected";
  };
  for (const end = Date.now() + 15_000; !await home(); await pause(100)) {
    ok(Date.now() < end, "the VPC's relay is not used");
  }

  await callAgent(mesh.socketOf("a"), "EnableExitNodeClient");
  await answers(lab, "a", "203.0.113.200");
  match(await at(lab, "a", `ip route get ${relayAt}`), /dev eth0/);
  match(await at(lab, "a", "ip route get 203.0.113.200"), /dev wg0/);
  const before = await counts(lab, "a");
  equal((await mesh.ping("a", "b", { count: 50, intervalMs: 10 })).received, 50);
  const after = await counts(lab, "a");
  ok(after.relay! > before.relay!, "the relay's connection moved");

  // A connection made while everything goes to the exit node, which itself is behind that relay.
  await mesh.kill("relay-c");
  await mesh.startVpcRelay("c");
  for (const end = Date.now() + 70_000; !await home(); await pause(100)) {
    ok(Date.now() < end, "the VPC's relay is not used again");
  }
  await answers(lab, "a", "203.0.113.200");
  const last = await counts(lab, "a");
  ok(last.relay! > after.relay!);
  await callAgent(mesh.socketOf("a"), "DisableExitNodeClient");
  match(await at(lab, "a", "ip route get 203.0.113.200"), /dev eth0/);
});

Deno.test("an exit node is reached through the VPC's WireGuard relay, which does not use it itself", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 3, nat: ["cone", "symmetric", "open"] });
  await inLab(lab, "ip address add 203.0.113.200/24 dev wan");
  await at(lab, "router-b", COUNTING);
  const mesh = await Mesh.start(lab, {
    agents: ["c"],
    hosts: {
      a: { args: ["--relay-only"] },
      b: { mode: "router", args: ["--exit-node", "--relay-only"] },
      c: { mode: "relay" },
    },
  });
  await Promise.all(["a", "b"].map((host) => mesh.startAgent(host)));
  await mesh.waitForPath("a", "c", "relay-node-peer", 20_000);
  await mesh.waitForPath("b", "c", "relay-node-peer", 20_000);
  await answers(lab, "a", (await mesh.status("b")).tunnel_ipv4, 20_000);
  equal(
    (await mesh.status("a")).peers.find(({ hostname }) => hostname === "b")!.method,
    "via-relay",
  );

  await callAgent(mesh.socketOf("a"), "EnableExitNodeClient");
  const before = await counts(lab, "b");
  await answers(lab, "a", "203.0.113.200");
  ok((await counts(lab, "b")).other! > before.other!, "the exit node sent nothing");
  match(await at(lab, "a", "ip route get 203.0.113.200"), /dev wg0/);
  for (const outside of ["203.0.113.2", "203.0.113.3"]) {
    match(await at(lab, "a", `ip route get ${outside}`), /dev eth0/, outside);
  }
  match(await at(lab, "c", "ip route get 203.0.113.200"), /dev eth0/);
  const between = await counts(lab, "b");
  await answers(lab, "c", "203.0.113.200");
  equal(
    (await counts(lab, "b")).other,
    between.other,
    "the relay's own packets took the exit node",
  );
  await callAgent(mesh.socketOf("a"), "DisableExitNodeClient");
  match(await at(lab, "a", "ip route get 203.0.113.200"), /dev eth0/);
  // Peers are reached as before.
  await answers(lab, "a", (await mesh.status("b")).tunnel_ipv4);
});
