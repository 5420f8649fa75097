import { deepEqual, equal } from "node:assert/strict";
import { limitsHit } from "./limit_log.ts";
import type { Notifier } from "./systemd.ts";
import { watch } from "./watchdog.ts";

Deno.test("the watchdog is told at half its interval, and only while all answer", async () => {
  let told = 0;
  let well = true;
  let asked = 0;
  const notifier = { watchdogMs: 20, alive: () => told++ } as unknown as Notifier;
  const next = Promise.withResolvers<void>();
  const end = watch(notifier, () => {
    if (++asked === 4) well = false;
    if (asked === 8) next.resolve();
    return Promise.resolve(well);
  });
  await next.promise;
  end();
  equal(told, 3);
  watch({ ...notifier, watchdogMs: undefined }, () => Promise.reject(new Error("asked")))();
});

Deno.test("limits are told with their counts, and not at all when none was hit", () => {
  const before = { acceptLimited: 5, addressLimited: 2, packetsReceived: 9 };
  equal(limitsHit(before, { ...before, packetsReceived: 100 }), "");
  deepEqual(
    limitsHit(before, { ...before, acceptLimited: 12, admissionRefused: 1 }),
    "7 connections over the accept limit, 1 logins refused by admission",
  );
});
