import { equal, ok } from "node:assert/strict";
import { inMesh, pingOn } from "./support.ts";
import { underLoad } from "../scripts/lab/support.ts";

Deno.test("two hosts go on over the relay within 8 s when the direct way dies without a word", async () => {
  await inMesh({ nat: "cone" }, async (mesh, lab) => {
    await mesh.waitForPath("a", "b", "reflexive", 30_000);
    await mesh.waitForPath("b", "a", "reflexive", 30_000);
    const ping = await pingOn(mesh, "a", "b", 50);
    // Each drops what comes from the other's outside address: the sender notices nothing.
    for (const [host, other] of [["a", "b"], ["b", "a"]] as const) {
      const { code, stderr } = await lab.host(host).run(["nft", "-f", "-"], {
        input: `table inet deaf { chain in { type filter hook input priority 0; ip saddr ${
          lab.host(other).publicAddress
        } meta l4proto udp drop; }; }`,
      });
      equal(code, 0, stderr);
    }
    const died = Date.now();
    const resumed = await ping.replyAfter(died + 500, 40_000);
    ok(resumed - died < underLoad(8_000), `it took ${resumed - died} ms`);
    await ping.stop();
    await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
    await mesh.waitForPath("b", "a", "via-derp-relay", 20_000);
    equal((await mesh.ping("b", "a", { count: 100, intervalMs: 10 })).received, 100);
    // One of the two saw it first, and the other's WireGuard followed: both say so.
    const events = await Promise.all(["a", "b"].map(async (host) => {
      const [peer] = (await mesh.status(host)).peers;
      return peer!.history!.map(({ event }) => event);
    }));
    for (const one of events) ok(one.includes("healthy"), JSON.stringify(events));
    ok(events.some((one) => one.includes("suspect")), JSON.stringify(events));
  });
});
