import assert from "node:assert/strict";
import { Attempts, networkOf } from "./attempts.ts";

Deno.test("tries count for an IPv4 address, however it is written, and for an IPv6 network", () => {
  const cases: [string, string][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:0db8:0000::ff:1", "2001:db8:0:0::/64"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["", ""],
  ];
  for (const [address, network] of cases) assert.equal(networkOf(address), network, address);
});

Deno.test("tries are limited in a row and over time, and a good one counts no more", () => {
  let now = 0;
  const tries = new Attempts({ burst: 2, everyMs: 1000 }, () => now);
  for (let i = 0; i < 2; i++) {
    assert.equal(tries.wait("a"), 0);
    tries.take("a");
  }
  assert.deepEqual([tries.wait("a"), tries.wait("b")], [1000, 0]);
  tries.giveBack("a");
  assert.equal(tries.wait("a"), 0);
  now = 5000;
  tries.giveBack("a");
  assert.equal(tries.size, 0);
  for (let i = 0; i < 20_000; i++) tries.take(`${i}`);
  assert.equal(tries.size, 10_000);
});
