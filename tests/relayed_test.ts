import { deepEqual, equal, match, ok } from "node:assert/strict";
import { inMesh } from "./support.ts";

const METRIC = 'nexd_wireguard_messages_received{type="transport_data"}';

for (const capture of ["linux", "portable"] as const) {
  Deno.test(`two hosts behind symmetric NATs lose no ping when relayed by the ${capture} capture`, async () => {
    await inMesh({ nat: "symmetric", env: { NEXD_PROXY_CAPTURE: capture } }, async (mesh) => {
      const path = await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
      await mesh.waitForPath("b", "a", "via-derp-relay", 20_000);
      equal(path.endpoint, "127.0.0.3:9002");
      equal(path.code, "both-symmetric");
      equal((await mesh.status("a")).capture, capture);
      equal((await mesh.status("a")).nat, "symmetric");

      const before = (await mesh.relayMetrics()).get(METRIC) ?? 0;
      const there = await mesh.ping("a", "b", { count: 1000, intervalMs: 10 });
      deepEqual([there.sent, there.received], [1000, 1000]);
      const back = await mesh.ping("b", "a", { count: 100, intervalMs: 10 });
      deepEqual([back.sent, back.received], [100, 100]);
      const after = (await mesh.relayMetrics()).get(METRIC) ?? 0;
      ok(after - before >= 2 * 1100, `the relay saw only ${after - before} data messages`);

      const out = await mesh.iperf("a", "b", { seconds: 2 });
      const home = await mesh.iperf("a", "b", { seconds: 2, reverse: true });
      ok(out.mbitPerS > 1 && home.mbitPerS > 1, JSON.stringify([out, home]));
      // The connection under it all has not been lost for the load.
      equal((await mesh.status("a")).relay?.reconnects, 0);
      equal((await mesh.status("b")).relay?.reconnects, 0);
    });
  });
}

Deno.test("each relayed peer has a loopback endpoint of its own when there are several", async () => {
  await inMesh({ nat: "symmetric", agents: ["a", "b", "c"] }, async (mesh) => {
    for (const peer of ["b", "c"]) await mesh.waitForPath("a", peer, "via-derp-relay", 20_000);
    const { peers } = await mesh.status("a");
    deepEqual(peers.map((peer) => peer.endpoint).sort(), ["127.0.0.3:9002", "127.0.0.4:9002"]);
    for (const [from, to] of [["a", "b"], ["b", "c"], ["c", "a"]] as const) {
      await mesh.waitForPath(from, to, "via-derp-relay", 20_000);
      equal((await mesh.ping(from, to, { count: 20, intervalMs: 20 })).received, 20);
    }
    const text = await mesh.statusText("a");
    match(text, /127\.0\.0\.3:9002/);
    match(text, /127\.0\.0\.4:9002/);
  });
});
