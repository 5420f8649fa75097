import assert from "node:assert/strict";
import fc from "fast-check";
import { readName, readTarget, refusedName } from "./judge.ts";

Deno.test("only strict host names are names", () => {
  for (
    const [text, name] of [["Relay.Example", "relay.example"], ["xn--a.b", "xn--a.b"], ["r", "r"]]
  ) {
    assert.deepEqual(readName(text!), { name });
  }
  for (
    const text of [
      ...["", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", "a\nb", "a#b", "a\tb.c", "ü.de"],
      ...["10.0.0.1", "1.2.3", "a.1", "::1", "[::1]", "a:443", "a/b", "*.a", "a".repeat(64)],
      ...[`${"a.".repeat(127)}ab`, "a\0b", "a%b", "\u212A.de"],
    ]
  ) assert.ok("problem" in readName(text), JSON.stringify(text));
});

Deno.test("no text makes a name that could begin a line or a comment of its own", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const read = readName(text);
    if ("name" in read) assert.match(read.name, /^[a-z0-9.-]+$/);
  }));
});

Deno.test("names that are somebody else's are refused", () => {
  const forbidden = ["api.try.example", "stun.example", "Control.example"];
  const own = new Set(["me", "me.lan"]);
  for (
    const name of [
      ...["localhost", "a.localhost", "ip6-localhost", "localhost.localdomain", "1.in-addr.arpa"],
      ...["api.try.example", "auth.try.example", "try.example", "stun.example", "control.example"],
      ...["me", "me.lan", "dns.google", "one.one.one.one", "x.dns.nextdns.io", "broadcasthost"],
    ]
  ) assert.ok(refusedName(name, forbidden, own) !== undefined, name);
  for (
    const name of ["relay.try.example", "notlocalhost", "localhost.example", "relay.dns.google.com"]
  ) {
    assert.equal(refusedName(name, forbidden, own), undefined, name);
  }
});

Deno.test("only addresses that a relay can have are targets", () => {
  const ranges = ["100.64.0.0/10", "200::/64", "rubbish"];
  for (
    const [text, address] of [
      ["203.0.113.9", "203.0.113.9"],
      ["192.168.1.7", "192.168.1.7"],
      ["2001:DB8:0::9", "2001:db8::9"],
    ]
  ) assert.deepEqual(readTarget(text!, ranges), { address });
  for (
    const text of [
      ...["", "relay", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1"],
      ...["255.255.255.255", "240.0.0.1", "169.254.1.1", "fe80::1", "fe80::1%eth0", "10.0.0"],
      ...["::ffff:127.0.0.1", "010.0.0.1", "100.64.0.5", "200::5", "203.0.113.9:443", "1 2"],
    ]
  ) assert.ok("problem" in readTarget(text, ranges), text);
});
