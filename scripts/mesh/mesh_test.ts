import assert from "node:assert/strict";
import { Lab } from "../lab/mod.ts";
import { cannotMesh } from "../lab/support.ts";
import { Mesh } from "./mod.ts";

Deno.test("a mesh joins hosts behind symmetric NATs through its relay, and again after a kill", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const mesh = await Mesh.start(lab, { agents: ["a", "b"] });
  const both = (timeoutMs: number) =>
    Promise.all(
      [["a", "b"], ["b", "a"]].map(([from, to]) =>
        mesh.waitForPath(from!, to!, "via-derp-relay", timeoutMs)
      ),
    );
  const [path] = await both(20_000);
  assert.match(path!.endpoint, /^127\.0\.0\.3:\d+$/);
  assert.equal((await mesh.observeNat("a")).kind, "symmetric");

  const before = (await mesh.relayMetrics()).get("derp_packets_sent")!;
  const { received, lossPercent, rtt } = await mesh.ping("a", "b", { count: 20, intervalMs: 10 });
  assert.equal(received, 20);
  assert.equal(lossPercent, 0);
  assert.ok(rtt && rtt.avg > 0);
  const after = (await mesh.relayMetrics()).get("derp_packets_sent")!;
  assert.ok(after - before >= 40, `${after - before} packets went through the relay`);
  assert.ok((await mesh.iperf("b", "a", { seconds: 1 })).mbitPerS > 1);
  assert.match(await mesh.statusText("a"), /127\.0\.0\.3/);

  const address = await mesh.tunnelIp("b");
  const old = mesh.parts.get("b")!.pid;
  await mesh.restart("b");
  assert.notEqual(mesh.parts.get("b")!.pid, old);
  assert.equal(await mesh.tunnelIp("b"), address);
  await both(20_000);
});

Deno.test("a mesh says what a part printed when it does not start", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 1, nat: "open" });
  const mesh = new Mesh(lab, { agents: ["a"], agentArgs: ["--no-such-flag"] });
  await mesh.startControl();
  await assert.rejects(mesh.startAgent("a"), /Cannot start agent a: it ended.*no-such-flag/s);
});
