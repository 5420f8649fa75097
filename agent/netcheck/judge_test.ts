import assert from "node:assert/strict";
import fc from "fast-check";
import { refuseAnswer, verdictOf } from "./judge.ts";

const at = (address: string, port = 3478) => ({ address, port });
const PUBLIC = at("203.0.113.3"), PUBLIC6 = at("2001:db8:1::3");

Deno.test("an answer is refused when it cannot be true, with the reason", () => {
  const inTunnel = (address: string) => address.startsWith("100.64.") || address.startsWith("200:");
  const table: [string, number, { address: string; port: number }, RegExp | undefined][] = [
    ["203.0.113.9", 5000, PUBLIC, undefined],
    ["203.0.113.9", 0, PUBLIC, /no host's address/],
    ["203.0.113.9", 70_000, PUBLIC, /no host's address/],
    ["0.0.0.0", 5000, PUBLIC, /no host's address/],
    ["255.255.255.255", 5000, PUBLIC, /no host's address/],
    ["224.0.0.1", 5000, PUBLIC, /no host's address/],
    ["not an address", 5000, PUBLIC, /no host's address/],
    ["127.0.0.1", 5000, PUBLIC, /loopback/],
    ["127.0.0.1", 5000, at("127.0.0.1"), undefined],
    ["127.0.0.1", 3478, at("127.0.0.1"), /its own address/],
    ["203.0.113.3", 3478, PUBLIC, /its own address/],
    // A server on the same machine, or behind the same NAT.
    ["203.0.113.3", 5000, PUBLIC, undefined],
    ["169.254.1.1", 5000, PUBLIC, /link-local/],
    ["10.0.0.5", 5000, PUBLIC, /private/],
    ["192.168.1.5", 5000, PUBLIC, /private/],
    ["100.65.0.5", 5000, PUBLIC, /private/],
    // A server in the same private network.
    ["192.168.1.5", 5000, at("192.168.1.1"), undefined],
    ["100.64.0.5", 5000, PUBLIC, /inside the tunnel/],
    ["2001:db8::5", 5000, PUBLIC6, undefined],
    ["2001:db8::5", 5000, PUBLIC, /asked over IPv4/],
    ["203.0.113.9", 5000, PUBLIC6, /asked over IPv6/],
    ["::", 5000, PUBLIC6, /no host's address/],
    ["::1", 5000, PUBLIC6, /loopback/],
    ["fe80::1", 5000, PUBLIC6, /link-local/],
    ["fd00::1", 5000, PUBLIC6, /private/],
    ["fd00::1", 5000, at("fd00::2"), undefined],
    ["200::5", 5000, PUBLIC6, /inside the tunnel/],
  ];
  for (const [address, port, server, expected] of table) {
    const reason = refuseAnswer({ address, port }, server, inTunnel);
    if (expected === undefined) assert.equal(reason, undefined, `${address}:${port}`);
    else assert.match(reason ?? "taken", expected, `${address}:${port} of ${server.address}`);
  }
});

const answer = (server: number, seen: string) => ({ server: `192.0.2.${server}`, seen });

Deno.test("the answers of a round become a verdict", () => {
  assert.deepEqual(verdictOf([]), {});
  assert.deepEqual(verdictOf([answer(1, "x:1")]), { address: "x:1" });
  const agree = [answer(1, "x:1"), answer(2, "x:1")];
  assert.deepEqual(verdictOf(agree), { address: "x:1", symmetric: false });
  const differ = [answer(1, "x:1"), answer(2, "x:2")];
  assert.deepEqual(verdictOf(differ), { address: "x:1", symmetric: true });
  const liar = { address: "x:1", symmetric: false };
  assert.deepEqual(verdictOf([...agree, answer(3, "y:9")]), { ...liar, odd: 2 });
  assert.deepEqual(verdictOf([answer(3, "y:9"), ...agree]), { ...liar, odd: 0 });
  // Two ports of one server: a NAT may map by the address of the destination alone.
  assert.equal(verdictOf([answer(1, "x:1"), answer(1, "x:1"), answer(2, "x:2")]).symmetric, true);
  const all = [answer(1, "x:1"), answer(2, "x:2"), answer(3, "x:3")];
  assert.deepEqual(verdictOf(all), { address: "x:1", symmetric: true });
});

Deno.test("a verdict's address is one that was answered, and its kind needs two answers", () => {
  const answers = fc.array(
    fc.record({
      server: fc.constantFrom("192.0.2.1", "192.0.2.2", "192.0.2.3"),
      seen: fc.constantFrom("x:1", "x:2", "y:1"),
    }),
    { maxLength: 6 },
  );
  fc.assert(fc.property(answers, (answers) => {
    const { address, symmetric, odd } = verdictOf(answers);
    assert.equal(address === undefined, answers.length === 0);
    assert.equal(symmetric === undefined, answers.length < 2);
    if (address !== undefined) assert(answers.some(({ seen }) => seen === address));
    if (odd !== undefined) assert.notEqual(answers[odd]!.seen, address);
    if (new Set(answers.map(({ seen }) => seen)).size > 2) assert.equal(symmetric, true);
  }));
});
