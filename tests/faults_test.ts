/**
 * What may go wrong around a running agent, with the real parts: each test breaks one thing and holds
 * how long traffic may suffer. Faults of relays, names and the NAT have files of their own.
 */
import { equal, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { enterFlags } from "../scripts/lab/holder.ts";
import type { Lab } from "../scripts/lab/mod.ts";
import type { Mesh } from "../scripts/mesh/mod.ts";
import { inMesh, pause, pingOn } from "./support.ts";
import { underLoad } from "../scripts/lab/support.ts";

/** Runs a shell script on a host; it must succeed. */
async function on(lab: Lab, host: string, script: string): Promise<string> {
  const { code, stdout, stderr } = await lab.host(host).run(["sh", "-ec", script]);
  equal(code, 0, stderr);
  return stdout;
}

/** Mounts a small file system over a directory, seen from outside the lab and inside. */
async function mount(lab: Lab, dir: string, kilobytes: number): Promise<void> {
  const { code, stderr } = await new Deno.Command("nsenter", {
    args: [
      ...enterFlags(lab.initPid),
      ...["mount", "-t", "tmpfs", "-o", `size=${kilobytes}k,mode=0700`, "tmpfs", dir],
    ],
    stderr: "piped",
  }).output();
  equal(code, 0, new TextDecoder().decode(stderr));
}

async function relayed(mesh: Mesh, ...pairs: [string, string][]): Promise<void> {
  for (const [from, to] of pairs) await mesh.waitForPath(from, to, "via-derp-relay", 30_000);
}

/** Packets to and from the control plane vanish on this host. */
const CUT = `nft -f - <<'END'
table inet cut {
  chain out { type filter hook output priority filter; ip daddr 203.0.113.2 drop; }
  chain in { type filter hook input priority filter; ip saddr 203.0.113.2 drop; }
}
END`;

Deno.test("an agent learns what changed behind its back when the control plane is silent for long and comes back", async () => {
  await inMesh({ nat: "symmetric", agents: ["a", "b", "c"] }, async (mesh, lab) => {
    await relayed(mesh, ["a", "b"], ["b", "a"], ["a", "c"], ["c", "a"]);
    await mesh.kill("c", "SIGTERM");
    await on(lab, "a", CUT);
    const ping = await pingOn(mesh, "a", "b", 10);
    // As another device, with another key and address, while one host hears nothing.
    await Deno.remove(`${lab.dir}/c`, { recursive: true });
    await mesh.startAgent("c");
    await relayed(mesh, ["b", "c"]);
    const address = await mesh.tunnelIp("c");
    equal((await mesh.status("a")).peers.some((peer) => peer.tunnel_ipv4 === address), false);
    await on(lab, "a", "nft delete table inet cut");
    const back = Date.now();
    for (;;) {
      const found = (await mesh.status("a")).peers.find((p) => p.tunnel_ipv4 === address);
      if (found?.healthy) break;
      ok(Date.now() - back < underLoad(60_000), "not heard of within a minute");
      await pause(50);
    }
    equal((await ping.stop()).lost, 0);
    equal((await mesh.ping("a", "c", { count: 20, intervalMs: 20 })).received, 20);
  });
});

Deno.test("agents go on with what they have when their disk is full, and save it when there is room again", async () => {
  await inMesh({ nat: "symmetric", agents: ["a", "b"] }, async (mesh, lab) => {
    await relayed(mesh, ["a", "b"], ["b", "a"]);
    await mesh.kill("a", "SIGTERM");
    const dir = `${lab.dir}/a`;
    const kept = await on(lab, "a", `tar -C ${dir} -cf - . | base64 -w0`);
    await mount(lab, dir, 64);
    // The host's own mounts were made before: it has to see this one too.
    await on(
      lab,
      "a",
      `mountpoint -q ${dir} || mount -t tmpfs -o size=64k,mode=0700 tmpfs ${dir}
       echo ${kept} | base64 -d | tar -C ${dir} -xf -`,
    );
    await mesh.startAgent("a");
    await relayed(mesh, ["a", "b"]);
    const ping = await pingOn(mesh, "a", "b", 10);
    await on(lab, "a", `head -c 1000000 /dev/zero >${dir}/fill 2>/dev/null || true`);
    const { public_key } = await mesh.status("b");
    // A change that has to be saved: the peer comes back as another device.
    const before = await on(lab, "a", `cat ${dir}/state.json`);
    await mesh.kill("b", "SIGTERM");
    await Deno.remove(`${lab.dir}/b`, { recursive: true });
    await mesh.startAgent("b");
    await relayed(mesh, ["a", "b"], ["b", "a"]);
    ok((await mesh.status("b")).public_key !== public_key);
    await ping.stop();
    equal((await mesh.ping("a", "b", { count: 20, intervalMs: 20 })).received, 20);
    const full = (await mesh.status("a")).host ?? [];
    ok(full.some((note) => note.includes("No space left")), JSON.stringify(full));
    ok(JSON.parse(await on(lab, "a", `cat ${dir}/state.json`)), "the state file is whole");
    ok(before.length > 0);
    await on(lab, "a", `rm ${dir}/fill`);
    const { public_key: now } = await mesh.status("b");
    for (const end = Date.now() + 15_000;;) {
      if ((await on(lab, "a", `cat ${dir}/cache.json`)).includes(now)) break;
      ok(Date.now() < end, "not saved within 15 s");
      await pause(100);
    }
    equal((await mesh.status("a")).host?.some((note) => note.includes("No space")) ?? false, false);
  });
});

Deno.test("two hosts with the same key do not disturb the others, and the one that stays is reached again", async () => {
  await inMesh({ nat: "symmetric", agents: ["a", "b", "c"] }, async (mesh, lab) => {
    await relayed(mesh, ["b", "c"], ["c", "b"], ["a", "b"]);
    const ping = await pingOn(mesh, "b", "c", 10);
    // A copy of a machine, as a cloned image makes it.
    await mesh.kill("a", "SIGTERM");
    const copy = `${lab.dir}/copy`;
    await new Deno.Command("cp", { args: ["-a", `${lab.dir}/a`, copy] }).output();
    await mesh.startAgent("a");
    const clone = await lab.host("control").spawn([
      Deno.execPath(),
      ...["run", "-A", fileURLToPath(new URL("../main.ts", import.meta.url))],
      ...["--reg-key", mesh.regKey, "--ca", `${lab.dir}/control/certs/ca.crt`, "--relay-only"],
      ...["--relay-ca", `${lab.dir}/relay/ca.crt`, "--public-relay=relay:443"],
      ...["--stun-server", "relay:3478", "--stun-server", "control:3478"],
      ...["--state-dir", copy, "--unix-socket", `${lab.dir}/copy.sock`],
    ], { log: "copy" });
    await clone.waitFor(/nexd is running/, 30_000);
    const noticed = async () =>
      (await mesh.status("a")).host?.some((note) =>
        note.includes("another host registers with this host's key, as control at 203.0.113.2:")
      );
    for (const end = Date.now() + 10_000; !await noticed(); await pause(100)) {
      ok(Date.now() < end, "the copy was not noticed");
    }
    await pause(3_000);
    equal((await ping.stop()).lost, 0);
    clone.kill("SIGTERM");
    await clone.exited;
    const gone = Date.now();
    // The last handshake was the copy's: WireGuard gives that session up by its own timers.
    while ((await mesh.ping("b", "a", { count: 4, intervalMs: 250 })).received === 0) {
      ok(Date.now() - gone < underLoad(45_000), "not reached within 45 s");
    }
    equal((await mesh.ping("a", "b", { count: 20, intervalMs: 20 })).received, 20);
  });
});

Deno.test("traffic resumes within 10 s when a host was stopped for a while, as a suspended one is", async () => {
  await inMesh({ nat: "symmetric" }, async (mesh, lab) => {
    await relayed(mesh, ["a", "b"], ["b", "a"]);
    const own = await on(
      lab,
      "b",
      'for p in /proc/[0-9]*; do [ "$(readlink $p/ns/net)" = "$(readlink /proc/self/ns/net)" ] &&' +
        ' case "$(cat $p/comm)" in deno*|wireguard-go) echo ${p#/proc/};; esac; done; true',
    );
    const pids = own.trim().split("\n").join(" ");
    ok(pids.includes(" "), `the agent and its WireGuard: ${pids}`);
    const ping = await pingOn(mesh, "a", "b", 50);
    await on(lab, "b", `kill -STOP ${pids}`);
    await pause(12_000); // the relay has given it up by now
    const woken = Date.now();
    await on(lab, "b", `kill -CONT ${pids}`);
    const resumed = await ping.replyAfter(woken, 20_000);
    ok(resumed - woken < underLoad(10_000), `it took ${resumed - woken} ms`);
    await ping.stop();
  });
});

Deno.test("an agent has every device when its event stream is cut at any byte", async () => {
  await inMesh({ nat: "symmetric" }, async (mesh, lab) => {
    await relayed(mesh, ["a", "b"]);
    // Before the control plane, something that ends connections after ever more bytes.
    const cutter = fileURLToPath(new URL("./cutter.ts", import.meta.url));
    const process = await lab.host("control").spawn(
      [Deno.execPath(), "run", "--allow-net", cutter, "8443", "443"],
      { log: "cutter" },
    );
    await process.waitFor(/ready/, 10_000);
    await on(
      lab,
      "control",
      "nft 'add table ip cut; add chain ip cut pre { type nat hook prerouting priority dstnat; };" +
        " add rule ip cut pre iifname eth0 tcp dport 443 redirect to :8443'",
    );
    const ping = await pingOn(mesh, "a", "b", 10);
    await mesh.kill("control");
    await mesh.startControl();
    await process.waitFor(/cut 8 /, 90_000);
    equal((await ping.stop()).lost, 0);
    const peers = (await mesh.status("a")).peers.map(({ hostname }) => hostname);
    equal(peers.join(), "b");
    await on(lab, "control", "nft delete table ip cut");
    process.kill("SIGTERM");
    await process.exited;
    for (const end = Date.now() + 60_000;;) {
      const { control } = await mesh.status("a");
      if (control.state === "watching" || control.state === "connected") break;
      ok(Date.now() < end, JSON.stringify(control));
      await pause(100);
    }
  });
});
