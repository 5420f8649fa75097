import assert from "node:assert/strict";
import fc from "fast-check";
import type { Sweep } from "../../server/mod.ts";
import { Gate, isLoopback, RateLimit, siteOf, unmapped } from "./mod.ts";

Deno.test("RateLimit lets a burst through and then so many a second", () => {
  const limit = new RateLimit(10, 5, 0);
  let passed = 0;
  for (let now = 0; now < 1000; now++) if (limit.take(now)) passed += 1;
  assert.equal(passed, 5 + 9);
  assert.equal(limit.take(100_000), true);
  assert.equal(
    [1, 2, 3, 4, 5].filter(() => limit.take(100_000)).length,
    4,
    "never above the burst",
  );
});

Deno.test("RateLimit loses and wins nothing when its clock steps back", () => {
  const limit = new RateLimit(1, 1, 10_000);
  assert.equal(limit.take(10_000), true);
  assert.equal(limit.take(0), false);
  assert.equal(limit.take(500), false);
  assert.equal(limit.take(1_100), true);
});

Deno.test("unmapped gives IPv4 its own form", () => {
  assert.equal(unmapped("::ffff:192.0.2.7"), "192.0.2.7");
  assert.equal(unmapped("::FFFF:c000:207"), "192.0.2.7");
  for (const other of ["192.0.2.7", "::1", "2001:db8::1", "::ffff:0:1:2", "::"]) {
    assert.equal(unmapped(other), other);
  }
});

Deno.test("siteOf joins an IPv6 network's addresses and keeps others apart", () => {
  assert.equal(siteOf("192.0.2.7"), "192.0.2.7");
  const same = [
    "2001:db8:1:2::1",
    "2001:db8:1:2:3:4:5:6",
    "2001:db8:1:2::",
    "2001:db8:1:2:ffff::%9",
  ];
  assert.equal(new Set(same.map(siteOf)).size, 1);
  const apart = ["2001:db8:1:3::1", "2001:db8::1", "::1", "fe80::1%eth0", "2001:db8:1::"];
  assert.equal(new Set([...apart, same[0]!].map(siteOf)).size, apart.length + 1);
  const group = fc.integer({ min: 0, max: 0xffff }).map((n) => n.toString(16));
  const half = fc.array(group, { minLength: 4, maxLength: 4 });
  fc.assert(fc.property(half, half, half, (network, a, b) => {
    const site = siteOf([...network, ...a].join(":"));
    assert.equal(siteOf([...network, ...b].join(":")), site);
    assert.equal(site, `${network.join(":")}::/64`);
  }));
});

Deno.test("isLoopback knows this host", () => {
  assert.deepEqual(["127.0.0.1", "127.9.9.9", "::1"].map(isLoopback), [true, true, true]);
  assert.deepEqual(["128.0.0.1", "::", "127.0.0.1.evil"].map(isLoopback), [false, false, false]);
});

/** A connection that only has an address. */
function fake(hostname: string): Deno.Conn & { closed: number } {
  const conn = {
    remoteAddr: { transport: "tcp", hostname, port: 1234 },
    closed: 0,
    close: () => void (conn.closed += 1),
  };
  return conn as unknown as Deno.Conn & { closed: number };
}

/** Deadlines that never come. */
const sweep = { deadline: () => ({ end: () => {} }) } as unknown as Sweep;

const counters = () => ({ acceptLimited: 0, addressLimited: 0 });

Deno.test("Gate counts an address's connections until they are closed", () => {
  const counted = counters();
  const gate = new Gate(counted, sweep, { perAddress: { unfinished: 2, total: 3 } });
  const a = "2001:db8:1:2";
  const first = fake(`${a}::1`);
  const second = fake(`${a}::2`);
  const visit = gate.enter(first)!;
  assert.equal(visit.address, `${a}::1`);
  assert(gate.enter(second) !== undefined);
  const third = fake(`${a}::3`);
  assert.equal(gate.enter(third), undefined);
  assert.equal(third.closed, 1);
  assert(gate.enter(fake("2001:db8:1:3::1")) !== undefined, "another network");
  visit.finished();
  visit.finished();
  assert(gate.enter(fake(`${a}::4`)) !== undefined, "one of them has logged in");
  second.close();
  assert.equal(gate.enter(fake(`${a}::5`)) === undefined, false, "one has gone, three in total");
  const beyond = fake(`${a}::6`);
  assert.equal(gate.enter(beyond), undefined);
  assert.equal(counted.addressLimited, 2);
  assert.equal(counted.acceptLimited, 0);
});

Deno.test("Gate forgets addresses whose connections are closed, even twice", () => {
  const gate = new Gate(counters(), sweep);
  for (let i = 0; i < 1000; i++) {
    const conn = fake(`198.51.100.${i % 250}`);
    const visit = gate.enter(conn)!;
    if (i % 2 === 0) visit.finished();
    conn.close();
    conn.close();
    visit.finished();
  }
  assert.equal(gate.sites.size, 0);
  assert.equal(gate.unfinished.size, 0);
});

Deno.test("Gate counts v4-mapped addresses as IPv4, and the host itself only until it logs in", () => {
  const gate = new Gate(counters(), sweep, { perAddress: { unfinished: 1, total: 1 } });
  assert(gate.enter(fake("::ffff:192.0.2.7")) !== undefined);
  assert.equal(gate.enter(fake("192.0.2.7")), undefined);
  for (let i = 0; i < 5; i++) gate.enter(fake("127.0.0.1"))!.finished();
  assert(gate.enter(fake("127.0.0.1")) !== undefined);
  assert.equal(gate.enter(fake("127.0.0.1")), undefined);
});

Deno.test("Gate ends the oldest stranger when there are too many of them", () => {
  const counted = counters();
  const gate = new Gate(counted, sweep, { unfinished: 3 });
  const conns = [1, 2, 3, 4, 5].map((i) => fake(`198.51.100.${i}`));
  const visits = conns.slice(0, 3).map((conn) => gate.enter(conn));
  visits[0]!.finished();
  gate.enter(conns[3]!);
  assert.deepEqual(conns.map(({ closed }) => closed), [0, 0, 0, 0, 0]);
  gate.enter(conns[4]!);
  assert.deepEqual(conns.map(({ closed }) => closed), [0, 1, 0, 0, 0]);
  assert.equal(counted.acceptLimited, 1);
});

Deno.test("Gate refuses at once what comes faster than it may", () => {
  const counted = counters();
  const gate = new Gate(counted, sweep, { acceptLimit: { perSecond: 0.001, burst: 3 } });
  const conns = Array.from({ length: 5 }, (_, i) => fake(`198.51.100.${i}`));
  const entered = conns.map((conn) => gate.enter(conn) !== undefined);
  assert.deepEqual(entered, [true, true, true, false, false]);
  assert.equal(counted.acceptLimited, 2);
});
