import { deepEqual, equal, ok } from "node:assert/strict";
import type { AgentStatus } from "../agent/ctl/mod.ts";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, underLoad } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { giveIpv6, onRouter, renat } from "./nat_support.ts";
import { inMesh, pingOn } from "./support.ts";

/** ms between STUN rounds here. */
const PERIOD = 2_000;
const env = { NEXD_STUN_INTERVAL: String(PERIOD) };

/** Waits until the status of an agent fits; returns it. */
async function status(
  mesh: Mesh,
  host: string,
  what: string,
  fits: (status: AgentStatus) => boolean,
  limit = 10_000,
): Promise<AgentStatus> {
  for (const end = Date.now() + limit;;) {
    const now = await mesh.status(host);
    if (fits(now)) return now;
    if (Date.now() > end) {
      throw new Error(`${what}: not within ${limit} ms: ${JSON.stringify(now.netcheck)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Waits until `host` has heard from the control plane that a device is at an endpoint; when. */
async function heard(lab: Lab, host: string, endpoint: string, limit = 5_000): Promise<number> {
  const path = `${lab.dir}/${host}/cache.json`;
  for (const end = Date.now() + limit; Date.now() < end;) {
    if ((await Deno.readTextFile(path)).includes(`"${endpoint}"`)) return Date.now();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${host} has not heard of ${endpoint} within ${limit} ms`);
}

const rounds = ({ netcheck }: AgentStatus) => netcheck!.rounds;

Deno.test("another mapping of the NAT is seen within a period and published within a second when WireGuard runs", async () => {
  await inMesh({ nat: "cone", env }, async (mesh, lab) => {
    await mesh.waitForPath("a", "b", "reflexive", 30_000);
    const before = await status(mesh, "a", "a round", (s) => rounds(s) >= 2);
    equal(before.netcheck!.method, "raw-socket");
    equal(before.netcheck!.network_watch, "netlink");
    equal(before.reflexive, `${lab.host("a").publicAddress}:${before.listen_port}`);
    equal(before.netcheck!.servers.length, 2);
    for (const one of before.netcheck!.servers) {
      equal(one.seen, before.reflexive);
      ok(one.rtt_ms! < 500);
    }
    for (const port of [50_000, 51_000]) {
      const changed = Date.now();
      await renat(lab, "a", `to :${port}`);
      const old = (await mesh.status("a")).reflexive;
      const after = await status(mesh, "a", "the new mapping", (s) => s.reflexive !== old);
      const seen = after.netcheck!.ipv4.changed_ms!;
      ok(seen - changed < PERIOD * 1.1 + 1_000, `seen after ${seen - changed} ms`);
      equal(after.reflexive, `${lab.host("a").publicAddress}:${port}`);
      equal(after.nat, "cone");
      const published = await heard(lab, "b", after.reflexive);
      ok(published - seen < underLoad(1_000), `published after ${published - seen} ms`);
    }
    await status(mesh, "a", "published", (s) => s.netcheck!.published === "current");
    await mesh.waitForPath("b", "a", "reflexive", 30_000);
    equal((await mesh.ping("a", "b", { count: 20, intervalMs: 20 })).received, 20);
  });
});

Deno.test("a NAT that becomes symmetric, and a cone again, is told as such when the agent runs", async () => {
  await inMesh({ nat: "cone", env }, async (mesh, lab) => {
    await status(mesh, "a", "a first round", (s) => s.nat === "cone" && rounds(s) >= 1);
    await renat(lab, "a", "fully-random");
    const symmetric = await status(mesh, "a", "symmetric", (s) => s.nat === "symmetric");
    await heard(lab, "b", symmetric.reflexive);
    // Its ports differ from round to round, and nobody is told of that.
    const later = await status(mesh, "a", "rounds", (s) => rounds(s) >= rounds(symmetric) + 2);
    equal(later.reflexive, symmetric.reflexive);
    equal(later.netcheck!.ipv4.changed_ms, symmetric.netcheck!.ipv4.changed_ms);
    await renat(lab, "a", "");
    const cone = await status(mesh, "a", "cone", (s) => s.nat === "cone");
    equal(cone.reflexive, `${lab.host("a").publicAddress}:${cone.listen_port}`);
    await heard(lab, "b", cone.reflexive);
  });
});

Deno.test("measuring disturbs no tunnel, and traffic no measuring, when both share the port", async () => {
  await inMesh({ nat: "cone", env: { NEXD_STUN_INTERVAL: "1000" } }, async (mesh) => {
    await mesh.waitForPath("a", "b", "reflexive", 30_000);
    await mesh.waitForPath("b", "a", "reflexive", 30_000);
    const quiet = await mesh.status("a");
    const ping = await pingOn(mesh, "a", "b", 10);
    await status(mesh, "a", "rounds", (s) => rounds(s) >= rounds(quiet) + 4);
    equal((await ping.stop()).lost, 0);

    const before = await mesh.status("a");
    const traffic = mesh.iperf("a", "b", { seconds: 5 });
    const busy = await status(mesh, "a", "busy rounds", (s) => rounds(s) >= rounds(before) + 3);
    ok((await traffic).mbitPerS > 1);
    equal(busy.reflexive, before.reflexive);
    equal(busy.netcheck!.ipv4.changed_ms, before.netcheck!.ipv4.changed_ms);
    deepEqual(busy.netcheck!.servers.map(({ seen }) => seen), [busy.reflexive, busy.reflexive]);
  });
});

Deno.test("what was known stays, and is told to be old, when no STUN server answers", async () => {
  await inMesh({ nat: "cone", env }, async (mesh, lab) => {
    await mesh.waitForPath("a", "b", "reflexive", 30_000);
    const before = await status(mesh, "a", "a round", (s) => rounds(s) >= 1);
    await onRouter(lab, "a", "nft insert rule ip filter forward udp dport 3478 drop");
    const failing = await status(mesh, "a", "failing", (s) => s.netcheck!.error !== undefined);
    ok(failing.netcheck!.error!.includes("no answer"), failing.netcheck!.error);
    ok(failing.netcheck!.ipv4.failing_since_ms! > 0);
    equal(failing.reflexive, before.reflexive);
    equal(failing.nat, "cone");
    equal(failing.netcheck!.published, "current");
    ok((await mesh.statusText("a")).includes("failing: "));
    equal((await mesh.ping("a", "b", { count: 20, intervalMs: 20 })).received, 20);
    await onRouter(
      lab,
      "a",
      "nft flush chain ip filter forward\n" +
        'nft add rule ip filter forward iifname "lan" accept\n' +
        "nft add rule ip filter forward ct state established,related accept",
    );
    const again = await status(mesh, "a", "answers", (s) => s.netcheck!.error === undefined);
    equal(again.reflexive, before.reflexive);
    equal(again.netcheck!.ipv4.failing_since_ms, undefined);
  });
});

Deno.test("a host's new address is measured and published at once when its network changes", async () => {
  // Only the change itself can be the reason for a round within this test.
  await inMesh({ nat: "open", env: { NEXD_STUN_INTERVAL: "120000" } }, async (mesh, lab) => {
    await mesh.waitForPath("a", "b", "reflexive", 30_000);
    const before = await status(mesh, "a", "a round", (s) => rounds(s) >= 1);
    const host = lab.host("a");
    const gateway = host.address.replace(/\d+$/, (n) => String(Number(n) - 1));
    const address = host.address.replace(/\d+$/, (n) => String(Number(n) + 60));
    await onRouter(lab, "a", `ip route add ${address}/32 dev lan`);
    await onRouter(lab, undefined, `ip route add ${address}/32 via 203.0.113.11`);
    const changed = Date.now();
    const { code, stderr } = await host.run([
      "sh",
      "-ec",
      `ip address add ${address}/32 dev eth0
       ip route replace default via ${gateway} src ${address}`,
    ]);
    equal(code, 0, stderr);
    const after = await status(
      mesh,
      "a",
      "the new address",
      (s) => s.reflexive.startsWith(address),
    );
    const took = after.netcheck!.ipv4.changed_ms! - changed;
    ok(took < underLoad(3_000), `seen after ${took} ms`);
    ok(rounds(after) > rounds(before));
    const local = `${address}:${after.listen_port}`;
    await heard(lab, "b", local);
  });
});

for (const [way, nat] of [["reflexive", "open"], ["via-derp-relay", "symmetric"]] as const) {
  Deno.test(`pings go on within 8 s when a host has another address than before, ${way}`, async () => {
    await inMesh({ nat }, async (mesh, lab) => {
      await mesh.waitForPath("a", "b", way, 30_000);
      const host = lab.host("a");
      const { stdout } = await host.run(["ip", "-4", "route", "show", "default"]);
      const gateway = stdout.split(" ")[2];
      const other = host.address.replace(/\d+$/, (n) => String(Number(n) + 60));
      await onRouter(lab, "a", `ip route add ${other}/32 dev lan`);
      if (nat === "open") {
        await onRouter(lab, undefined, `ip route add ${other}/32 via 203.0.113.11`);
      }
      for (const [from, to, address] of [["a", "b", other], ["b", "a", host.address]] as const) {
        const ping = await pingOn(mesh, from, to, 20);
        const changed = Date.now();
        const { code, stderr } = await host.run([
          "sh",
          "-ec",
          `ip -4 address flush dev eth0
           ip address add ${address}/32 dev eth0
           ip route add ${gateway}/32 dev eth0
           ip route add default via ${gateway} src ${address}`,
        ]);
        equal(code, 0, stderr);
        const resumed = await ping.replyAfter(changed + 300, 20_000);
        ok(resumed - changed < underLoad(8_000), `${from} to ${to}: ${resumed - changed} ms`);
        await ping.stop();
        if (nat === "symmetric") continue;
        await status(mesh, "a", "the new address", (s) => s.reflexive.startsWith(`${address}:`));
      }
    });
  });
}

Deno.test("an address over IPv6 is measured from WireGuard's port and published beside the other", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 1, nat: "cone" });
  const { relay, hosts } = await giveIpv6(lab, ["a"]);
  const address = hosts["a"]!;
  const agentArgs = ["--stun-server", `[${relay}]:3478`];
  const mesh = await Mesh.start(lab, { agents: ["a"], env, agentArgs });
  const { netcheck, listen_port, reflexive, reflexive6, nat } = await status(
    mesh,
    "a",
    "two rounds",
    (s) => rounds(s) >= 2,
  );
  equal(reflexive6, `[${address}]:${listen_port}`);
  equal(netcheck!.ipv6.reflexive, reflexive6);
  equal(nat, "cone");
  ok(netcheck!.servers.some(({ family, seen }) => family === "ipv6" && seen === reflexive6));
  await status(mesh, "a", "published", (s) => s.netcheck!.published === "current");
  const { device } = JSON.parse(await Deno.readTextFile(`${lab.dir}/a/cache.json`));
  deepEqual(device.endpoints.slice(1), [
    { source: "stun:", address: reflexive6 },
    { source: "stun:", address: reflexive },
  ]);
  ok((await mesh.statusText("a")).includes(`over IPv6 ${reflexive6}`));
});
