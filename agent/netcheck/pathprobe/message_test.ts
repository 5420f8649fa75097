import assert from "node:assert/strict";
import fc from "fast-check";
import { generatePrivateKey, publicKeyOf } from "../../../relay/derp/mod.ts";
import { parseBindingResponse } from "../../../relay/stun/mod.ts";
import { PairKeys } from "./keys.ts";
import { encodeProbe, isGenuine, parseProbe, PROBE_LENGTH } from "./message.ts";

const hex = (n: number) =>
  fc.uint8Array({ minLength: n, maxLength: n }).map((bytes) => bytes.toHex());
const message = fc.record({
  kind: fc.constantFrom("ping" as const, "pong" as const),
  call: fc.boolean(),
  ask: fc.boolean(),
  word: fc.nat(0xffff),
  hint: hex(8),
  id: hex(16),
}).map((one) => one.kind === "ping" ? { ...one, word: 0 } : { ...one, call: false, ask: false });
const key = fc.uint8Array({ minLength: 32, maxLength: 32 });

Deno.test("a probe is read as it was written, by who has the key", () => {
  fc.assert(fc.property(message, key, key, (one, right, wrong) => {
    const bytes = encodeProbe(one, right);
    assert.equal(bytes.length, PROBE_LENGTH);
    assert.deepEqual(parseProbe(bytes), one);
    assert(isGenuine(bytes, right));
    assert.equal(isGenuine(bytes, wrong), right.toHex() === wrong.toHex());
  }));
});

Deno.test("a probe with any bit changed is none", () => {
  fc.assert(fc.property(message, key, fc.nat(PROBE_LENGTH * 8 - 1), (one, right, bit) => {
    const bytes = encodeProbe(one, right);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    assert(parseProbe(bytes) === undefined || !isGenuine(bytes, right));
  }));
});

Deno.test("reading a probe throws for no bytes, and finds nothing in noise", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), key, (noise, any) => {
    assert.equal(parseProbe(noise), undefined);
    assert.equal(isGenuine(noise, any), false);
  }));
});

Deno.test("a probe is no message of WireGuard and no answer of STUN", () => {
  fc.assert(fc.property(message, key, (one, any) => {
    const bytes = encodeProbe(one, any);
    assert(new DataView(bytes.buffer).getUint32(0, true) > 4);
    assert.notEqual(bytes[0]! & 0xc0, 0);
    assert.equal(parseBindingResponse(bytes), undefined);
  }));
});

Deno.test("two hosts have the same keys, one for each direction, and others have other ones", () => {
  const [a, b, c] = [0, 1, 2].map(() => generatePrivateKey());
  const pair = (own: Uint8Array, peer: Uint8Array) =>
    new PairKeys(own, publicKeyOf(own), publicKeyOf(peer));
  const ab = pair(a!, b!), ba = pair(b!, a!), ac = pair(a!, c!);
  assert.equal(ab.ready, false);
  assert.deepEqual(ab.sending, ba.receiving);
  assert.deepEqual(ba.sending, ab.receiving);
  assert.equal(ab.ready, true);
  const all = [ab.sending, ba.sending, ac.sending, ac.receiving];
  assert.equal(new Set(all.map(({ key }) => key.toHex())).size, 4);
  assert.equal(new Set(all.map(({ hint }) => hint)).size, 4);
});
