/**
 * Our agents on the reference relay. Set NEXD_TEST_DERPER to its path.
 */

import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { Lab } from "../../scripts/lab/mod.ts";
import { Mesh } from "../../scripts/mesh/mod.ts";
import { pingOn } from "../support.ts";
import { programOf, startDerper } from "./support.ts";
import { underLoad } from "../../scripts/lab/support.ts";

Deno.test("our agents lose no ping when derper is the relay, and meet again when it restarts", async () => {
  const derper = await programOf("NEXD_TEST_DERPER", "the reference relay, derper");
  if (derper === undefined) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const mesh = new Mesh(lab, { agents: ["a", "b"] });
  let [relay] = await Promise.all([startDerper(lab, derper), mesh.startControl()]);
  await Promise.all([mesh.startAgent("a"), mesh.startAgent("b")]);
  await mesh.waitForPath("a", "b", "via-derp-relay", 20_000);
  await mesh.waitForPath("b", "a", "via-derp-relay", 20_000);
  for (const host of ["a", "b"]) {
    const { nat, relay } = await mesh.status(host);
    equal(nat, "symmetric", "derper's STUN server has not answered");
    deepEqual([relay?.host, relay?.state, relay?.reconnects], ["relay", "connected", 0]);
  }
  for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
    equal((await mesh.ping(from, to, { count: 200, intervalMs: 10 })).received, 200);
  }

  const identity = (await mesh.status("a")).relay?.serverKey;
  notEqual(identity, undefined);
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const pings = await pingOn(mesh, "a", "b", 50);
    relay.kill(signal);
    await relay.exited;
    relay = await startDerper(lab, derper);
    const back = Date.now();
    const resumed = await pings.replyAfter(back, 15_000);
    ok(resumed - back < underLoad(5_000), `after ${signal} it took ${resumed - back} ms`);
    await pings.stop();
    equal((await mesh.ping("b", "a", { count: 50, intervalMs: 10 })).received, 50);
    equal((await mesh.status("a")).relay?.serverKey, identity);
  }
  ok((await mesh.status("a")).relay!.reconnects >= 2);
});
