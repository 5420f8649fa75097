import assert from "node:assert/strict";
import { carriedBy, parseCarried } from "./network.ts";

const TEXT = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  500000     700    0    0    0     0          0         0   500000     700    0    0    0     0       0          0
   wg0:   13560     150    0    2    0     0          0         0     7344      72    0    1    0     0       0          0
  wg01:       1       1    0    0    0     0          0         0        1       1    0    0    0     0       0          0
`;

Deno.test("parseCarried adds up packets of both directions of one interface", () => {
  assert.equal(parseCarried(TEXT, "wg0"), 222);
  assert.equal(parseCarried(TEXT, "wg01"), 2);
  assert.equal(parseCarried(TEXT, "wg"), undefined);
  assert.equal(parseCarried("", "wg0"), undefined);
  assert.equal(parseCarried("wg0: 1 2", "wg0"), undefined);
});

Deno.test("carriedBy reads this system's counters, and knows nothing of what is not there", () => {
  assert.equal(carriedBy("nosuch0"), undefined);
  if (Deno.build.os === "linux") assert.equal(typeof carriedBy("lo"), "number");
});
