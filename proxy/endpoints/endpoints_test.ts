import assert from "node:assert/strict";
import fc from "fast-check";
import { keyToBase64 } from "../../relay/derp/mod.ts";
import { Endpoints, MAX_REMEMBERED, parseAddress } from "./endpoints.ts";

function key(n: number): string {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, n);
  bytes[31] = 7;
  return keyToBase64(bytes);
}

Deno.test("endpoints start at 127.0.0.3 and skip .0 and .255 when they go on", () => {
  const endpoints = new Endpoints();
  const taken = Array.from({ length: 256 }, (_, i) => endpoints.take(key(i)));
  assert.deepEqual(taken.slice(0, 2), ["127.0.0.3", "127.0.0.4"]);
  assert.deepEqual(taken.slice(251, 254), ["127.0.0.254", "127.0.1.1", "127.0.1.2"]);
});

Deno.test("endpoints give every one of 70,000 peers an address of its own", () => {
  const endpoints = new Endpoints();
  const seen = new Set<string>();
  for (let i = 0; i < 70_000; i++) {
    const address = endpoints.take(key(i));
    assert(address !== undefined && address.startsWith("127."));
    seen.add(address);
  }
  assert.equal(seen.size, 70_000);
  assert.equal(endpoints.size, 70_000);
  const again = new Endpoints(endpoints.assigned());
  assert.equal(again.take(key(69_999)), endpoints.take(key(69_999)));
  assert.equal(again.take(key(0)), "127.0.0.3");
});

Deno.test("endpoints give a returning peer its address back when others came meanwhile", () => {
  const endpoints = new Endpoints();
  const mine = endpoints.take(key(1));
  endpoints.release(key(1));
  assert.notEqual(endpoints.take(key(2)), mine);
  assert.equal(endpoints.take(key(1)), mine);
});

Deno.test("endpoints are used again when peers come and go for ever", () => {
  const first = 0x7f000003;
  const endpoints = new Endpoints({}, { first, last: first + 9, remembered: 4 });
  for (let i = 0; i < 1000; i++) {
    assert(endpoints.take(key(i)) !== undefined, `peer ${i}`);
    if (i >= 9) endpoints.release(key(i - 9));
  }
});

Deno.test("endpoints end when the range is used up and go on when one is freed", () => {
  const first = 0x7f000003;
  const endpoints = new Endpoints({}, { first, last: first + 1 });
  const mine = endpoints.take(key(1));
  assert(endpoints.take(key(2)) !== undefined);
  assert.equal(endpoints.take(key(3)), undefined);
  endpoints.release(key(1));
  assert.equal(endpoints.take(key(3)), mine);
  assert.equal(endpoints.take(key(1)), undefined);
});

Deno.test("endpoints give another address when one is blocked", () => {
  const endpoints = new Endpoints({ [key(1)]: "127.0.0.3" });
  assert.equal(endpoints.take(key(1)), "127.0.0.3");
  endpoints.block(key(1));
  assert.equal(endpoints.take(key(1)), "127.0.0.4");
  assert.deepEqual(endpoints.assigned(), { [key(1)]: "127.0.0.4" });
});

Deno.test("endpoints leave out single entries when the stored map is corrupt", () => {
  const stored = {
    [key(1)]: "127.0.0.9",
    [key(2)]: "127.0.0.9",
    [key(3)]: "10.0.0.1",
    [key(4)]: "127.0.0.1",
    [key(5)]: "127.0.0.2",
    [key(6)]: "127.0.0.010",
    [key(7)]: "127.255.255.255",
    [key(8)]: "127.0.1.0",
    [key(9)]: 5,
    [key(10)]: null,
    [key(11)]: "127.0.0.11\n",
    [key(12)]: "127.9.9.9",
    "not a key": "127.0.0.20",
    "": "127.0.0.21",
    ["__proto__x"]: "127.0.0.22",
    [key(13).slice(0, -1)]: "127.0.0.23",
  };
  const endpoints = new Endpoints(stored);
  assert.deepEqual(endpoints.assigned(), { [key(1)]: "127.0.0.9", [key(12)]: "127.9.9.9" });
  assert.equal(endpoints.size, 0);
  for (const junk of [null, 7, "text", []]) {
    assert.deepEqual(new Endpoints(junk as unknown as Record<string, unknown>).assigned(), {});
  }
});

Deno.test("endpoints remember a bounded number of removed peers", () => {
  const endpoints = new Endpoints();
  for (let i = 0; i < MAX_REMEMBERED + 100; i++) endpoints.take(key(i));
  for (let i = 0; i < MAX_REMEMBERED + 100; i++) endpoints.release(key(i));
  const left = endpoints.assigned();
  assert.equal(Object.keys(left).length, MAX_REMEMBERED);
  assert(!(key(0) in left) && key(MAX_REMEMBERED + 99) in left);
});

Deno.test("parseAddress accepts one spelling only", () => {
  assert.equal(parseAddress("127.0.0.3"), 0x7f000003);
  for (const text of ["127.0.0", "127.0.0.256", "127.0.0.03", " 127.0.0.3", "0x7f.0.0.3", ""]) {
    assert.equal(parseAddress(text), undefined, text);
  }
});

Deno.test("endpoints agree with a simple model for any sequence of steps", () => {
  const first = 0x7f0000fc;
  const last = first + 12; // 252..254, 1..8: eleven usable addresses
  const step = fc.record({
    kind: fc.constantFrom("take", "take", "release", "block", "restart"),
    peer: fc.integer({ min: 0, max: 15 }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    let endpoints = new Endpoints({}, { first, last, remembered: 3 });
    const held = new Map<string, string>();
    let blocked = 0;
    for (const { kind, peer } of steps) {
      const name = key(peer);
      if (kind === "take") {
        const known = endpoints.assigned()[name];
        const address = endpoints.take(name);
        if (address === undefined) {
          assert(held.size + blocked >= 11, "none left although one is free");
          continue;
        }
        if (held.has(name)) assert.equal(address, held.get(name));
        else if (known !== undefined) assert.equal(address, known);
        assert(!/\.(0|255)$/.test(address));
        held.set(name, address);
        assert.equal(new Set(held.values()).size, held.size, "two peers with one address");
      } else if (kind === "release") {
        endpoints.release(name);
        held.delete(name);
      } else if (kind === "block") {
        if (endpoints.assigned()[name] !== undefined) blocked++;
        endpoints.block(name);
        held.delete(name);
      } else {
        const stored = JSON.parse(JSON.stringify(endpoints.assigned()));
        endpoints = new Endpoints(stored, { first, last, remembered: 3 });
        blocked = 0;
        for (const [name, address] of held) assert.equal(endpoints.take(name), address);
      }
      assert.equal(endpoints.size, held.size);
      const remembered = Object.keys(endpoints.assigned()).length - held.size;
      assert(remembered >= 0 && remembered <= 3 + blocked + 12);
    }
  }));
});
