import assert from "node:assert/strict";
import fc from "fast-check";
import { DecodeError, JsonObjectDecoder } from "../mod.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Feeds bytes cut at the given places. */
function feed(bytes: Uint8Array, cuts: number[], limit?: number): unknown[] {
  const decoder = new JsonObjectDecoder(limit);
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const out: unknown[] = [];
  let from = 0;
  for (const to of [...places, bytes.length]) {
    out.push(...decoder.push(bytes.subarray(from, to)));
    from = to;
  }
  return out;
}

Deno.test("decoder gives the same objects when the stream is split anywhere", () => {
  const space = fc.constantFrom("", "\n", "\n\n", " \r\n\t", "\n".repeat(5));
  const item = fc.tuple(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue()), space);
  fc.assert(fc.property(fc.array(item), fc.array(fc.nat()), (items, cuts) => {
    const text = items.map(([value, gap]) => gap + JSON.stringify(value)).join("");
    // Through JSON once: -0 and the like do not survive it.
    const wanted = items.map(([value]) => JSON.parse(JSON.stringify(value)));
    assert.deepEqual(feed(encode(text), cuts), wanted);
  }));
});

Deno.test("decoder throws nothing but its own error on any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat()), (bytes, cuts) => {
    try {
      feed(bytes, cuts);
    } catch (error) {
      assert(error instanceof DecodeError);
    }
  }));
});

Deno.test("decoder refuses an object larger than its limit before it is complete", () => {
  const decoder = new JsonObjectDecoder(100);
  decoder.push(encode('{"a":"' + "x".repeat(80)));
  assert.throws(() => decoder.push(encode("x".repeat(40))), /larger than 100 bytes/);
});

Deno.test("decoder takes an object of exactly its limit", () => {
  const text = `{"a":"${"x".repeat(92)}"}`;
  assert.equal(text.length, 100);
  assert.equal(feed(encode(text), [1, 50, 99], 100).length, 1);
});

Deno.test("decoder refuses what is no object, nesting without end and broken text", () => {
  for (const text of ["[1]", "x", '"a"', "{]", '{"a":\u0001}', "{" + '"a":['.repeat(100)]) {
    assert.throws(() => feed(encode(text), [1]), DecodeError, text);
  }
  assert.throws(() => feed(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), []), DecodeError);
});

Deno.test("decoder is not misled by braces and quotes inside strings", () => {
  const value = { a: '}{"\\', '\\"': "]", b: ["\\", { c: "\u00e9{" }] };
  const text = JSON.stringify(value);
  for (let cut = 0; cut < text.length; cut++) {
    assert.deepEqual(feed(encode(text), [cut]), [value]);
  }
});
