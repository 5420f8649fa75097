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
      const before = (await mesh.relayMetrics()).get(RELAYED);
      const result = await mesh.ping("a", "b", { count: 100, intervalMs: 10 });
      equal(result.received, 100);
      const after = (await mesh.relayMetrics()).get(RELAYED);
      equal(after, before, "packets went through the relay");
    });
  });
}
