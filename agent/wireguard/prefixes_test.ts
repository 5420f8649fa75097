import assert from "node:assert/strict";
import fc from "fast-check";
import {
  isUnrouted,
  parseAllowedIp,
  parseEndpoint,
  parseInterfaceAddress,
  PrefixError,
} from "./prefixes.ts";
import { checkInterfaceName } from "./settings.ts";

Deno.test("allowed IP is brought to one spelling", () => {
  for (
    const [text, cidr] of [
      ["100.64.0.7", "100.64.0.7/32"],
      ["10.1.2.3/8", "10.0.0.0/8"],
      ["192.168.5.255/25", "192.168.5.128/25"],
      ["FD00:0:0::1", "fd00::1/128"],
      ["200::5/64", "200::/64"],
      ["2001:db8:ffff:ffff::/33", "2001:db8:8000::/33"],
    ]
  ) assert.equal(parseAllowedIp(text!).cidr, cidr);
});

Deno.test("allowed IP that would break the host is refused with a reason", () => {
  for (
    const [text, reason] of [
      ["0.0.0.0/0", /exit node/],
      ["::/0", /exit node/],
      ["0.0.0.0/1", /this network|loopback/],
      ["128.0.0.0/1", /multicast|link-local/],
      ["64.0.0.0/2", /loopback/],
      ["127.0.0.1/32", /loopback/],
      ["127.0.0.0/7", /loopback/],
      ["::1", /loopback/],
      ["::/96", /this network|loopback/],
      ["169.254.169.254", /link-local/],
      ["fe80::1", /link-local/],
      ["239.0.0.1", /multicast/],
      ["ff02::1", /multicast/],
      ["8.0.0.0/7", /shorter than \/8/],
      ["2000::/3", /shorter than \/7/],
      ["::ffff:10.0.0.1/128", /written as IPv6/],
    ] as const
  ) assert.throws(() => parseAllowedIp(text), { name: "PrefixError", message: reason }, text);
});

Deno.test("what may be allowed and not routed is fit only where that is said", () => {
  for (const text of ["0.0.0.0/0", "::/0", "244.64.0.1/32", "240.0.0.0/8"]) {
    assert.throws(() => parseAllowedIp(text), /exit node|reserved/, text);
    const prefix = parseAllowedIp(text, { unrouted: true });
    assert.deepEqual([prefix.cidr, isUnrouted(prefix)], [text, true]);
  }
  assert.equal(isUnrouted(parseAllowedIp("10.0.0.0/8", { unrouted: true })), false);
  for (const text of ["255.255.255.255", "224.0.0.0/4", "224.0.0.0/3"]) {
    assert.throws(() => parseAllowedIp(text, { unrouted: true }), PrefixError, text);
  }
});

Deno.test("malformed prefix and endpoint are refused", () => {
  const prefixes = ["", "x", "10.1", "010.0.0.1", "0x0a.0.0.1", "10.0.0.0/33", "10.0.0.0/+8"];
  prefixes.push("10.0.0.0/8/8", "10.0.0.0/", "fd00::/129", "fe80::1%eth0", "10.0.0.0/8\nx=y");
  prefixes.push(" 10.0.0.1", "1".repeat(100), "10.0.0.0/08");
  for (const text of prefixes) assert.throws(() => parseAllowedIp(text), PrefixError, text);
  const endpoints = ["", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "host:1", "::1:5", "[1.2.3.4]:5"];
  endpoints.push("0.0.0.0:5", "[::]:5", "224.0.0.1:5", "1.2.3.4:5\n", "[::ffff:1.2.3.4]:5");
  endpoints.push("invalid AddrPort");
  for (const text of endpoints) assert.throws(() => parseEndpoint(text), PrefixError, text);
});

Deno.test("endpoint is brought to one spelling", () => {
  assert.equal(parseEndpoint("127.0.0.3:9002"), "127.0.0.3:9002");
  assert.equal(parseEndpoint("[2001:DB8::0:1]:051"), "[2001:db8::1]:51");
});

Deno.test("prefixes throw nothing but PrefixError, and read back what they write", () => {
  const near = fc.string({ unit: fc.constantFrom(..."0123456789abf.:/[]%"), maxLength: 30 });
  fc.assert(fc.property(fc.oneof(near, fc.string(), fc.ipV6(), fc.ipV4()), (text) => {
    for (const parse of [(t: string) => parseAllowedIp(t).cidr, parseEndpoint]) {
      try {
        const once = parse(text);
        assert.equal(parse(once), once);
      } catch (error) {
        assert.ok(error instanceof PrefixError, String(error));
      }
    }
  }));
});

Deno.test("interface address keeps its host bits and gets the usual length", () => {
  assert.equal(parseInterfaceAddress("100.64.0.1").cidr, "100.64.0.1/32");
  assert.equal(parseInterfaceAddress("100.64.0.1/10").cidr, "100.64.0.1/10");
  assert.equal(parseInterfaceAddress("200::9").cidr, "200::9/64");
  for (const text of ["127.0.0.1", "::", "fe80::1", "224.0.0.1", "no"]) {
    assert.throws(() => parseInterfaceAddress(text), PrefixError, text);
  }
});

Deno.test("interface name follows the rules of Linux", () => {
  for (const name of ["wg0", "nexd.1", "a", "x".repeat(15)]) checkInterfaceName(name);
  const bad = ["", ".", "..", "lo", "all", "a/b", "a b", "wg%d", "a:1", "-x", "x".repeat(16), "ö"];
  for (const name of bad) {
    assert.throws(() => checkInterfaceName(name), { exitCode: 2, message: /--interface/ }, name);
  }
});
