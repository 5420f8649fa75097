import { equal, notEqual, ok } from "node:assert/strict";
import { expectNoLoss, longestGap, pause, PUBLIC, Relays } from "./relays_support.ts";
import { underLoad } from "../scripts/lab/support.ts";

/** Longest that a pair may be apart, ms: about 8 s, and as long again on a busy machine. */
const LIMIT = 16_000;

Deno.test("agents meet when each is at another relay because the other one's is out of its reach", async () => {
  await Relays.with(4, async (relays) => {
    await Promise.all([relays.start("c"), relays.start("d")]);
    await relays.until(
      "a home in the VPC",
      async () => await relays.home("a") !== PUBLIC && await relays.home("b") !== PUBLIC,
    );
    // One of two relays dies: the other one takes over, not the public one.
    const ping = await relays.ping();
    let since = Date.now();
    await relays.stop("c", "SIGKILL");
    await relays.meetAt("d.lab", 10_000);
    await ping.replyAfter(since + 500, 5_000);
    ok(longestGap(ping, since) < underLoad(3_000), `nothing for ${longestGap(ping, since)} ms`);
    await relays.start("c");

    // Each has one relay of the VPC of its own; the public one alone is in both's reach.
    since = Date.now();
    await Promise.all([relays.cut("a", "c"), relays.cut("b", "d")]);
    await relays.meetAt(PUBLIC, 20_000, false);
    await ping.replyAfter(since + 1_000, 10_000);
    ok(longestGap(ping, since) < underLoad(LIMIT), `nothing for ${longestGap(ping, since)} ms`);
    await ping.stop();
    await relays.until(
      "homes",
      async () => await relays.home("a") === "d.lab" && await relays.home("b") === "c.lab",
      15_000,
    );

    // What they have is kept, and so is what they measure: nobody moves.
    const calm = await relays.ping();
    await pause(5_000);
    await expectNoLoss(calm, "split");
    await relays.meetAt(PUBLIC, 1_000, false);

    // One of the VPC's is in both's reach again: they prefer it, wherever they are at home.
    const mended = await relays.ping();
    await relays.mend("a");
    const relay = await Promise.any(["c.lab", "d.lab"].map(async (one) => {
      await relays.meetAt(one, 60_000, false);
      return one;
    }));
    equal(relay, "c.lab");
    notEqual(await relays.home("a"), PUBLIC);
    await expectNoLoss(mended, "in reach again");
  });
});

Deno.test("an agent that cannot reach the VPC's relay meets one that is at home there, and a slow relay is left", async () => {
  await Relays.with(3, async (relays) => {
    await relays.start("c");
    await relays.meetAt("c.lab", 10_000);
    let ping = await relays.ping();
    let since = Date.now();
    await relays.cut("a", "c");
    await relays.meetAt(PUBLIC, 15_000, false);
    await ping.replyAfter(since + 1_000, 10_000);
    ok(longestGap(ping, since) < underLoad(LIMIT), `nothing for ${longestGap(ping, since)} ms`);
    equal(await relays.home("b"), "c.lab");
    await ping.stop();
    ping = await relays.ping();
    await relays.mend("a");
    await relays.meetAt("c.lab", 40_000);
    await expectNoLoss(ping, "in reach again");

    // It does nothing for four seconds, again and again.
    ping = await relays.ping();
    since = Date.now();
    const { pid } = relays.mesh.parts.get("relay-c")!;
    const stutter = (async () => {
      for (const end = Date.now() + 18_000; Date.now() < end; await pause(100)) {
        Deno.kill(pid, "SIGSTOP");
        await pause(4_000);
        Deno.kill(pid, "SIGCONT");
      }
    })();
    await relays.meetAt(PUBLIC, 10_000);
    const left = Date.now();
    await pause(500);
    await stutter;
    equal(await relays.home("a"), PUBLIC);
    equal(await relays.home("b"), PUBLIC);
    ok(
      longestGap(ping, left) < underLoad(500),
      `nothing for ${longestGap(ping, left)} ms after it was left`,
    );
    await ping.stop();
  });
});
