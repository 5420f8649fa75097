import { equal, ok } from "node:assert/strict";
import { inMesh } from "./support.ts";

const RELAYED = "derp_packets_received";

for (const nat of ["cone", "open"] as const) {
  Deno.test(`two hosts talk directly when their NATs are ${nat}`, async () => {
    await inMesh({ nat }, async (mesh) => {
      const path = await mesh.waitForPath("a", "b", "reflexive", 30_000);
      await mesh.waitForPath("b", "a", "reflexive", 30_000);
      ok(path.endpoint?.startsWith(mesh.lab.host("b").publicAddress), path.endpoint);
      equal((await mesh.status("a")).nat, "cone");
      const relayed = async () => (await mesh.relayMetrics()).get(RELAYED) ?? 0;
      const before = await relayed();
      const result = await mesh.ping("a", "b", { count: 100, intervalMs: 10 });
      equal(result.received, 100);
      // Agents ask each other through the relay now and then.
      const some = await relayed() - before;
      ok(some < 20, `${some} packets went through the relay`);
    });
  });
}
