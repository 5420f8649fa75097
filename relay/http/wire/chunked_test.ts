import assert from "node:assert/strict";
import fc from "fast-check";
import { ChunkedBody } from "./chunked.ts";

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("ChunkedBody finds a body's end however the bytes are cut", () => {
  const chunk = fc.record({
    data: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    extension: fc.constantFrom("", ";a=b", ';q="x;y"', ";"),
    upper: fc.boolean(),
  });
  const trailers = fc.constantFrom("", "A: b\r\n", "A: b\r\nC: d\r\n");
  fc.assert(fc.property(
    fc.array(chunk, { maxLength: 5 }),
    trailers,
    fc.array(fc.nat(200), { maxLength: 8 }),
    (chunks, trailer, cuts) => {
      const wire: number[] = [];
      for (const { data, extension, upper } of chunks) {
        const size = data.length.toString(16);
        wire.push(...encode(`${upper ? size.toUpperCase() : `0${size}`}${extension}\r\n`));
        wire.push(...data, 13, 10);
      }
      wire.push(...encode(`0\r\n${trailer}\r\n`));
      const bytes = Uint8Array.from([...wire, ...encode("GET / HTTP/1.1")]);
      const edges = [...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
      const skip = new ChunkedBody();
      let at = 0;
      for (const edge of edges) at = skip.push(bytes, at, Math.max(at, edge));
      assert.equal(skip.bad, false);
      assert.equal(skip.done, true);
      assert.equal(at, wire.length);
    },
  ));
});

Deno.test("ChunkedBody refuses what could be read in two ways", () => {
  const bad = [
    "\r\n",
    "x\r\n",
    "-1\r\n",
    "+1\r\n",
    "0x1\r\n",
    " 1\r\n",
    "1 \r\n",
    "1\n",
    "1\rx",
    "1;a\nb\r\n",
    "fffffffff\r\n",
    "1\r\nab\r\n",
    "1\r\na\n",
    "0\r\n\n",
    "0\r\nA: b\n\r\n",
    `1;${"x".repeat(300)}\r\n`,
    `0\r\n${"A: b\r\n".repeat(1000)}\r\n`,
  ];
  for (const text of bad) {
    const skip = new ChunkedBody();
    skip.push(encode(text), 0, text.length);
    assert.equal(skip.bad, true, JSON.stringify(text.slice(0, 20)));
    assert.equal(skip.done, false);
  }
});

Deno.test("ChunkedBody ends for any bytes, and takes no more than there are", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    const skip = new ChunkedBody();
    const at = skip.push(bytes, 0, bytes.length);
    assert(at <= bytes.length);
    if (!skip.done && !skip.bad) assert.equal(at, bytes.length);
  }));
});
