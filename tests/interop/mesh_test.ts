/**
 * Meshes of our relay with the reference relay, with clients of the reference library on both
 * sides. `deno task peers` builds what this needs; without NEXD_TEST_DERPER and NEXD_TEST_DERPLOAD
 * nothing runs.
 */

import { deepEqual, equal } from "node:assert/strict";
import { type Relays, withRelays } from "./relays.ts";

const PASSED = { mode: "verify", ok: true, checks: 7 };

async function refused(relays: Relays, from: string, to: string): Promise<void> {
  const { ok, failed } = await relays.verify(from, to, "-only", "sizes", "-patience", "4s");
  equal(ok, false, `packets passed from ${from} to ${to}`);
  deepEqual(Object.keys(failed!), ["sizes"]);
}

Deno.test("packets pass to derper's clients when our relay joins derper", async () => {
  await withRelays(["derper", "derpload"], async (relays) => {
    await relays.startDerper("relay", { mesh: true });
    await relays.startOurs("control", { meshWith: ["relay"] });
    await relays.passes("control", "relay");
    // Nobody there hears of who leaves here: that takes the other's joining, too.
    const result = await relays.verify("control", "relay", "-only", "order,sizes");
    deepEqual(result, { ...PASSED, checks: 2 });
  });
});

Deno.test("packets pass to our clients when derper joins our relay", async () => {
  await withRelays(["derper", "derpload"], async (relays) => {
    await relays.startOurs("relay", { mesh: true });
    await relays.startDerper("control", { meshWith: ["relay"] });
    await relays.passes("control", "relay");
    // Nobody there hears of who leaves here: that takes the other's joining, too.
    const result = await relays.verify("control", "relay", "-only", "order,sizes");
    deepEqual(result, { ...PASSED, checks: 2 });
  });
});

Deno.test("clients of any two relays reach each other when two of ours and derper mesh, and again after one was lost", async () => {
  await withRelays(["derper", "derpload"], async (relays) => {
    const names = ["relay", "control", "a"];
    const start = {
      relay: () => relays.startOurs("relay", { meshWith: names }),
      control: () => relays.startOurs("control", { meshWith: names }),
      a: () => relays.startDerper("a", { meshWith: names }),
    };
    await Promise.all(Object.values(start).map((one) => one()));
    const ways = names.flatMap((from) =>
      names.filter((to) => to !== from).map((to) => [from, to] as const)
    );
    // Whoever started first found the others absent and tries again.
    await Promise.all(ways.map(([from, to]) => relays.passes(from, to)));
    for (const [from, to] of ways) {
      deepEqual(await relays.verify(from, to, "-n", "100"), PASSED, `${from} to ${to}`);
    }
    for (const lost of ["relay", "a"] as const) {
      await relays.kill(lost);
      const left = ways.filter(([from, to]) => from !== lost && to !== lost);
      for (const [from, to] of left) await relays.passes(from, to, 0);
      await start[lost]();
      await Promise.all(ways.map(([from, to]) => relays.passes(from, to)));
    }
  });
});

Deno.test("nothing passes between relays when their mesh keys differ", async () => {
  await withRelays(["derper", "derpload"], async (relays) => {
    const other = "ab".repeat(32);
    await relays.startOurs("relay", { meshWith: ["control"] });
    await relays.startDerper("control", { meshWith: ["relay"], meshKey: other });
    await Promise.all([
      refused(relays, "relay", "control"),
      refused(relays, "control", "relay"),
    ]);
    // Each of them serves on.
    for (const name of ["relay", "control"]) {
      equal((await relays.verify(name, undefined, "-only", "order")).ok, true);
    }
  });
});
