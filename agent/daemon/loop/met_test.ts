import assert from "node:assert/strict";
import { Met } from "./met.ts";

Deno.test("a relay remembers where it met its peers, and nobody else", () => {
  const met = new Met();
  assert.equal(met.saved(), undefined);
  met.remember({ a: "203.0.113.1:1", gone: "203.0.113.2:2" });
  const seen = (publicKey: string, endpoint: string, lastHandshake?: number) => ({
    publicKey,
    endpoint,
    ...(lastHandshake === undefined ? {} : { lastHandshake }),
  });
  // Right after a start WireGuard knows nobody yet.
  assert.equal(met.see(new Set(["a", "gone"]), []), false);
  assert.equal(met.see(new Set(["a", "b"]), [seen("b", "203.0.113.3:3")]), true);
  assert.deepEqual(met.saved(), { a: "203.0.113.1:1" });
  const moved = [seen("a", "203.0.113.1:9", 1), seen("b", "203.0.113.3:3", 1), seen("x", "y", 1)];
  assert.equal(met.see(new Set(["a", "b"]), moved), true);
  assert.equal(met.see(new Set(["a", "b"]), moved), false);
  assert.deepEqual(met.saved(), { a: "203.0.113.1:9", b: "203.0.113.3:3" });
});
