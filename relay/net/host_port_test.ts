import assert from "node:assert/strict";
import fc from "fast-check";
import { AddressError, parseHostPort } from "./mod.ts";

Deno.test("parseHostPort reads every accepted spelling", () => {
  const table: [string, string, number][] = [
    [":443", "", 443],
    ["1.2.3.4:443", "1.2.3.4", 443],
    ["[::1]:443", "::1", 443],
    ["[fe80::1%eth0]:8443", "fe80::1%eth0", 8443],
    ["[::]", "::", 99],
    ["::1", "::1", 99],
    ["relay.example.com", "relay.example.com", 99],
    ["relay.example.com:8443", "relay.example.com", 8443],
    ["localhost:0", "localhost", 0],
    ["127.0.0.1:65535", "127.0.0.1", 65535],
  ];
  for (const [text, hostname, port] of table) {
    assert.deepEqual(parseHostPort(text, 99), { hostname, port }, text);
  }
});

Deno.test("parseHostPort refuses with a one-line usage error when the text is no address", () => {
  const bad = [
    "",
    ":",
    ":x",
    ":65536",
    ":-1",
    ":1.5",
    "a:b:c",
    "[::1",
    "[::1]x",
    "[::1]:",
    "[relay]:1",
    "http://relay:443",
    "a b:1",
    "relay:443/",
    "a\n:1",
    "x".repeat(5000),
  ];
  for (const text of bad) {
    assert.throws(
      () => parseHostPort(text, 99),
      (e) => e instanceof AddressError && e.exitCode === 2 && e.message.length < 300,
      text,
    );
  }
});

Deno.test("parseHostPort throws nothing but its error for any text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    try {
      const { port } = parseHostPort(text, 1);
      assert(Number.isInteger(port) && port >= 0 && port <= 65535);
    } catch (e) {
      assert(e instanceof AddressError);
    }
  }));
});
