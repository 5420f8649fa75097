import { deepEqual, equal, ok } from "node:assert/strict";
import type { Mesh } from "../scripts/mesh/mod.ts";
import { inMesh, pause, pingOn } from "./support.ts";
import { underLoad } from "../scripts/lab/support.ts";

/** Waits until both sides are relayed and healthy. */
async function relayed(mesh: Mesh): Promise<void> {
  await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
  await mesh.waitForPath("b", "a", "via-derp-relay", 20_000);
}

Deno.test("pings go on within 5 s of the relay's return when it is killed", async () => {
  await inMesh({ nat: "symmetric" }, async (mesh) => {
    await relayed(mesh);
    const ping = await pingOn(mesh, "a", "b", 50);
    await mesh.kill("relay");
    await pause(3_000);
    await mesh.startRelay();
    const back = Date.now();
    const resumed = await ping.replyAfter(back, 15_000);
    ok(resumed - back < underLoad(5_000), `it took ${resumed - back} ms`);
    await ping.stop();
    equal((await mesh.ping("b", "a", { count: 50, intervalMs: 10 })).received, 50);
  });
});

Deno.test("pings go on within 10 s when an agent is killed and started again", async () => {
  await inMesh({ nat: "symmetric" }, async (mesh) => {
    await relayed(mesh);
    const before = await mesh.status("b");
    const ping = await pingOn(mesh, "a", "b", 50);
    await mesh.kill("b");
    await pause(1_000);
    const started = Date.now();
    await mesh.startAgent("b");
    const resumed = await ping.replyAfter(started, 20_000);
    ok(resumed - started < underLoad(10_000), `it took ${resumed - started} ms`);
    await ping.stop();
    const after = await mesh.status("b");
    deepEqual(
      [after.public_key, after.tunnel_ipv4, after.tunnel_ipv6, after.peers[0]?.endpoint],
      [before.public_key, before.tunnel_ipv4, before.tunnel_ipv6, before.peers[0]?.endpoint],
    );
    equal((await mesh.status("a")).peers.length, 1, "the restart registered a second device");
  });
});

Deno.test("pings go on within 10 s when WireGuard's daemon is killed, and when its interface is deleted", async () => {
  await inMesh({ nat: "symmetric" }, async (mesh) => {
    await relayed(mesh);
    const ping = await pingOn(mesh, "a", "b", 50);
    const killed = Date.now();
    const { code } = await mesh.lab.host("b").run([
      "sh",
      "-c",
      [
        // Only this host's own: the pid namespace is the lab's, the network namespace the host's.
        'for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = wireguard-go ] &&',
        '[ "$(readlink $p/ns/net)" = "$(readlink /proc/self/ns/net)" ] &&',
        "kill -9 ${p#/proc/} && exit 0; done; exit 1",
      ].join(" "),
    ]);
    equal(code, 0, "there was no wireguard-go to kill");
    const resumed = await ping.replyAfter(killed + 500, 20_000);
    ok(resumed - killed < underLoad(10_000), `it took ${resumed - killed} ms`);
    // By whoever pings, too: its own interface goes.
    for (const host of ["b", "a"]) {
      const deleted = Date.now();
      equal((await mesh.lab.host(host).run(["ip", "link", "delete", "wg0"])).code, 0);
      const again = await ping.replyAfter(deleted + 500, 20_000);
      ok(again - deleted < underLoad(10_000), `${host}: it took ${again - deleted} ms`);
    }
    await ping.stop();
    const { stdout } = await mesh.lab.host("a").run(["ip", "-o", "address", "show", "wg0"]);
    const { tunnel_ipv4, tunnel_ipv6 } = await mesh.status("a");
    for (const address of [tunnel_ipv4, tunnel_ipv6]) ok(stdout.includes(` ${address}/`), stdout);
  });
});

Deno.test("no ping is lost when the control plane is killed and started again", async () => {
  await inMesh({ nat: "symmetric" }, async (mesh) => {
    await relayed(mesh);
    const ping = await pingOn(mesh, "a", "b", 10);
    await mesh.kill("control");
    await pause(4_000);
    await mesh.startControl();
    await pause(4_000);
    const { received, lost } = await ping.stop();
    equal(lost, 0);
    ok(received > 500, `only ${received} were answered`);
  });
});

Deno.test("an agent joins its peers again from what it kept when the control plane is away", async () => {
  await inMesh({ nat: "symmetric" }, async (mesh) => {
    await relayed(mesh);
    const before = await mesh.status("a");
    const { public_key } = await mesh.status("b");
    const cache = `${mesh.lab.dir}/a/cache.json`;
    while (!(await Deno.readTextFile(cache)).includes(public_key)) await pause(20);
    await mesh.kill("control");
    await mesh.restart("a");
    await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
    equal((await mesh.status("a")).tunnel_ipv4, before.tunnel_ipv4);
    equal((await mesh.ping("a", "b", { count: 50, intervalMs: 10 })).received, 50);
  });
});

Deno.test("an agent leaves nothing on its host when it is told to end", async () => {
  await inMesh({ nat: "symmetric" }, async (mesh, lab) => {
    await relayed(mesh);
    const look = () =>
      lab.host("a").run(["sh", "-c", "ip -o link; ip route; ls /run/wireguard /run/nexd 2>&1"]);
    ok((await look()).stdout.includes("wg0"));
    const ip = await mesh.tunnelIp("a");
    const code = mesh.parts.get("a")!.exited;
    await mesh.kill("a", "SIGTERM");
    equal(await code, 0);
    const { stdout } = await look();
    ok(!stdout.includes("wg0"), stdout);
    // With stored keys it relays again, under its old address.
    await mesh.startAgent("a");
    await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
    equal(await mesh.tunnelIp("a"), ip);
    equal((await mesh.ping("a", "b", { count: 50, intervalMs: 10 })).received, 50);
  });
});
