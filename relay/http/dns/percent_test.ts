import assert from "node:assert/strict";
import { insidePercentage } from "./percent.ts";

Deno.test("insidePercentage chooses the addresses that the reference relay chooses", () => {
  const inside = (last: number) => insidePercentage(`1.2.3.${last}`, 0.5);
  assert.deepEqual([4, 5, 6, 7, 8, 9, 10].filter(inside), [4, 5, 7, 9, 10]);
  assert.equal(insidePercentage("::ffff:1.2.3.4", 0.5), true, "the same address");
  assert.equal(insidePercentage("::ffff:1.2.3.6", 0.5), false);
});

Deno.test("insidePercentage lets everybody or nobody in at the ends", () => {
  for (const address of ["1.2.3.4", "2001:db8::1", "127.0.0.1", "no address", ""]) {
    assert.equal(insidePercentage(address, 0), false, address);
    assert.equal(insidePercentage(address, 1), true, address);
  }
  assert.equal(insidePercentage("no address", 0.99), false);
});

Deno.test("insidePercentage halves the addresses of a network", () => {
  let inside = 0;
  for (let n = 0; n < 65536; n++) {
    if (insidePercentage(`198.18.${n >> 8}.${n & 255}`, 0.5)) inside += 1;
  }
  assert(Math.abs(inside / 65536 - 0.5) < 0.005, `${inside}`);
});
