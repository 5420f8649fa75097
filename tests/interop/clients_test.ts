/**
 * The reference client library and the reference prober against our relay, as processes in a lab.
 * `deno task peers` builds both; without NEXD_TEST_DERPLOAD and NEXD_TEST_DERPPROBE nothing runs.
 */

import { deepEqual, equal } from "node:assert/strict";
import { withRelays } from "./relays.ts";

Deno.test("reference clients get order, bytes, pings and news of each other when our relay serves them", async () => {
  await withRelays(["derpload"], async (relays) => {
    await relays.startOurs("relay");
    deepEqual(await relays.verify("relay"), { mode: "verify", ok: true, checks: 7 });
    const many = await relays.load("a", "relay", ["logins", "-n", "200", "-c", "16"]);
    equal(many["n"], 200);
    const flow = await relays.load("a", "relay", [
      "bulk",
      "-n",
      "8",
      "-window",
      "128",
      "-secs",
      "1",
    ]);
    equal(flow["lost"], 0);
    equal(flow["stalls"], 0);
  });
});

Deno.test("reference clients get from derper what they get from ours when the same checks run", async () => {
  await withRelays(["derpload", "derper"], async (relays) => {
    await relays.startDerper("relay");
    deepEqual(await relays.verify("relay"), { mode: "verify", ok: true, checks: 7 });
  });
});

Deno.test("the reference prober finds nothing bad when it probes our relay", async () => {
  await withRelays(["derpprobe"], async (relays) => {
    await relays.startOurs("relay");
    const { good, bad, output } = await relays.probe(["relay"]);
    deepEqual(bad, [], output);
    // The map, TLS, STUN, the mesh probe of a node with itself, and its bandwidth.
    equal(good.length, 5, output);
  });
});

Deno.test("the reference prober finds nothing bad when it probes two relays of ours in a mesh", async () => {
  await withRelays(["derpprobe", "derpload"], async (relays) => {
    await Promise.all([
      relays.startOurs("relay", { meshWith: ["control"] }),
      relays.startOurs("control", { meshWith: ["relay"] }),
    ]);
    await Promise.all([relays.passes("relay", "control"), relays.passes("control", "relay")]);
    const { good, bad, output } = await relays.probe(["relay", "control"]);
    deepEqual(bad, [], output);
    equal(good.length, 13, output);
  });
});
