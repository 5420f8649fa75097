import assert from "node:assert/strict";
import fc from "fast-check";
import { Proxies } from "./proxies.ts";

const asked = (passed?: string) =>
  new Request("https://api.control.test/", {
    headers: passed === undefined ? {} : { "x-forwarded-for": passed },
  });

Deno.test("a proxy that is trusted says who asks, and what others wrote before it does not count", () => {
  const proxies = new Proxies(["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"]);
  const client = (peer: string, passed?: string) => proxies.client(asked(passed), peer);
  assert.equal(
    client("198.51.100.1", "203.0.113.5"),
    "198.51.100.1",
    "anybody may send the header",
  );
  assert.equal(client("192.0.2.7"), "192.0.2.7");
  assert.equal(client("192.0.2.7", "203.0.113.5"), "203.0.113.5");
  assert.equal(client("::ffff:192.0.2.7", "203.0.113.5"), "203.0.113.5");
  assert.equal(client("192.0.2.7", "1.1.1.1, 203.0.113.5, 10.1.2.3"), "203.0.113.5");
  assert.equal(client("2001:db8::1", "[2001:DB9::5]:4711"), "2001:db9::5");
  assert.equal(client("10.0.0.1", "203.0.113.5:4711"), "203.0.113.5");
  assert.equal(client("10.0.0.1", "203.0.113.5, unknown"), "10.0.0.1");
  assert.equal(client("10.0.0.1", "10.0.0.2"), "10.0.0.2", "all of them are proxies");
  for (const bad of ["", "10.0.0.0/33", "10.0.0", "010.0.0.1/8/8", "::/129", "fe80::1%eth0", "a"]) {
    assert.throws(() => new Proxies([bad]), new TypeError(bad));
  }
});

Deno.test("a proxy's header never makes another address than one that is written in it", () => {
  const proxies = new Proxies(["192.0.2.7", "::/0"]);
  const part = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: "grapheme-ascii" }));
  fc.assert(fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
    const passed = parts.join(",").replaceAll(/[^\x21-\x7e ]/g, "");
    const client = proxies.client(asked(passed), "192.0.2.7");
    assert.ok(/^[\d.]{7,15}$|^[\da-f:]{2,39}$/.test(client), client);
  }));
});
