import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeNotePreferred, encodePing, encodeSendPacket, FrameType } from "../../derp/mod.ts";
import { TestServer } from "../testing.ts";
import { Distribution } from "./histogram.ts";
import { pickBusiest } from "./snapshot.ts";

Deno.test("a snapshot shows each client, the busiest first, and is plain data", async () => {
  const meshKey = new Uint8Array(32).fill(3);
  await using server = new TestServer({}, { meshKey });
  const [a, b] = [
    await server.client(Infinity, undefined, {}, {
      address: "2001:db8::5",
      port: 9,
      acceptedAt: performance.now(),
    }),
    await server.client(Infinity, undefined, { isProber: true }, { websocket: true }),
  ];
  await server.relayClient();
  await a.send(encodeNotePreferred(true));
  for (let i = 0; i < 3; i++) {
    await a.send(encodeSendPacket(b.publicKey, new Uint8Array(1000)));
    await b.expect(FrameType.RecvPacket);
  }
  await a.send(encodePing(new Uint8Array(8)));
  await a.expect(FrameType.Pong);
  server.relay.links = {
    mesh: () => [{
      name: "x",
      state: "connected",
      since: 0,
      keys: 1,
      sentPackets: 0,
      droppedPackets: 0,
    }],
    siblings: () => [],
  };
  const snapshot = server.relay.snapshot();
  assert.deepEqual(JSON.parse(JSON.stringify(snapshot)), snapshot);
  const [first, second, third] = snapshot.clients;
  const of = (
    client: typeof first,
  ) => [client!.home, client!.mesh, client!.prober, client!.websocket];
  assert.deepEqual(of(first), [true, false, false, false]);
  assert.deepEqual(of(second), [false, false, true, true]);
  assert.deepEqual(of(third), [false, true, false, false]);
  assert.equal(first!.key, a.publicKey.toHex());
  assert.equal(first!.remote, "[2001:db8::5]:9");
  assert(first!.receivedBytes > 3000 && second!.sentBytes > 3000);
  assert.deepEqual([first!.uniqueSenders, second!.uniqueSenders], [0, 1]);
  assert.deepEqual([snapshot.gauges.connections, snapshot.gauges.home], [3, 1]);
  assert.equal(snapshot.mesh[0]!.name, "x");
  assert.equal(snapshot.loginSeconds.counts.reduce((sum, n) => sum + n), 1);
  assert.equal(snapshot.framesPerWrite.sum, 3);
  assert.equal(snapshot.processes[0]!.pid, Deno.pid);
  assert.equal(snapshot.counters.websocketAccepts, 1);
});

Deno.test("pickBusiest takes the same as sorting everything", () => {
  const list = fc.array(fc.record({ receivedBytes: fc.nat(20), sentBytes: fc.nat(20) }));
  fc.assert(fc.property(list, fc.nat(30), (all, most) => {
    const traffic = (one: typeof all[number]) => one.receivedBytes + one.sentBytes;
    const sorted = all.map(traffic).sort((a, b) => b - a).slice(0, most);
    assert.deepEqual(pickBusiest([...all], most).map(traffic), sorted);
  }));
});

Deno.test("Distribution counts a value on a bound below it, and one beyond all apart", () => {
  const distribution = new Distribution([1, 10]);
  for (const value of [0, 1, 1.5, 10, 11, 1e9]) distribution.add(value);
  const { counts, sum } = distribution.snapshot();
  assert.deepEqual([counts, sum], [[2, 2, 2], 1e9 + 23.5]);
});
