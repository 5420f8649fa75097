import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { callAgent } from "../agent/ctl/mod.ts";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { answers, at, inLab, look } from "./routing_support.ts";
import { pingOn } from "./support.ts";

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
