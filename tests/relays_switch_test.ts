import { equal, ok } from "node:assert/strict";
import { expectNoLoss, longestGap, pause, PUBLIC, Relays } from "./relays_support.ts";
import { underLoad } from "../scripts/lab/support.ts";

Deno.test("no ping is lost when a relay of the VPC comes, goes in order and comes again on another port", async () => {
  await Relays.with(3, async (relays) => {
    let ping = await relays.ping();
    await relays.start("c");
    await relays.meetAt("c.lab", 10_000);
    await pause(4_000); // past the end of the old connections
    await expectNoLoss(ping, "it came");

    ping = await relays.ping();
    await relays.stop("c", "SIGTERM");
    await relays.meetAt(PUBLIC, 10_000);
    await pause(1_000);
    await expectNoLoss(ping, "it went");

    // Where it is now, its metadata says.
    ping = await relays.ping();
    await relays.start("c", "--addr", ":8443");
    await relays.until(
      "the new port",
      async () => (await relays.listed("a", "c.lab")).port === 8443,
    );
    await relays.meetAt("c.lab", 10_000);
    await pause(4_000);
    await expectNoLoss(ping, "it came again");
  });
});

Deno.test("pings go on within seconds when a relay of the VPC is killed, cut off or changes its key", async () => {
  await Relays.with(3, async (relays) => {
    await relays.start("c");
    await relays.meetAt("c.lab", 10_000);

    let ping = await relays.ping();
    let since = Date.now();
    await relays.stop("c", "SIGKILL");
    await relays.meetAt(PUBLIC, 5_000);
    await ping.replyAfter(since + 500, 5_000);
    let gap = longestGap(ping, since);
    ok(gap < underLoad(2_000), `killed: nothing for ${gap} ms`);
    await ping.stop();

    // Another one answers there, whose certificate the VPC's relay's authority has not signed.
    const impostor = await relays.startImpostor("c");
    const untrusted = async () => (await relays.listed("a", "c.lab")).error ?? "";
    await relays.until("distrust", async () => /not signed by/.test(await untrusted()));
    await pause(1_000);
    equal(await relays.home("a"), PUBLIC);
    impostor.kill("SIGKILL");
    await impostor.exited;
    // And the right one, with another key of its own.
    await Deno.remove(`${relays.lab.dir}/relay-c/derper.key`);
    ping = await relays.ping();
    await relays.start("c");
    await relays.meetAt("c.lab", 30_000);
    await expectNoLoss(ping, "back with another key");

    ping = await relays.ping();
    since = Date.now();
    await relays.cut("c");
    await relays.meetAt(PUBLIC, 10_000);
    gap = longestGap(ping, since);
    ok(gap < underLoad(6_000), `cut off: nothing for ${gap} ms`);
    const resumed = await ping.replyAfter(since + 1_000, 6_000);
    ok(resumed - since < underLoad(6_000), `cut off: answers after ${resumed - since} ms`);
    await ping.stop();

    ping = await relays.ping();
    await relays.mend("c");
    await relays.meetAt("c.lab", 40_000);
    await pause(4_000);
    await expectNoLoss(ping, "mended");
  });
});
