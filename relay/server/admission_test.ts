import assert from "node:assert/strict";
import { encodePing, encodeSendPacket, FrameType, publicKeyOf } from "../derp/mod.ts";
import type { Admit } from "./server.ts";
import { TestServer } from "./testing.ts";

Deno.test("admission is asked with the proven key and the client's address", async () => {
  const asked: [string, string][] = [];
  await using server = new TestServer({}, {
    admit: (key, address) => {
      asked.push([key.toHex(), address]);
      return true;
    },
  });
  const a = await server.client(Infinity, undefined, {}, { address: "192.0.2.9", port: 7 });
  const b = await server.client();
  assert.deepEqual(asked, [[a.publicKey.toHex(), "192.0.2.9"], [b.publicKey.toHex(), ""]]);
});

Deno.test("a client that is not admitted is closed without a frame, however that was said", async () => {
  const refusals: Admit[] = [
    () => false,
    () => Promise.resolve(false),
    () => Promise.reject(new Error("no answer")),
    () => {
      throw new Error("no answer");
    },
    () => new Promise(() => {}), // For longer than it may take.
    () => "yes" as unknown as boolean,
  ];
  for (const admit of refusals) {
    await using server = new TestServer({ admitMs: 30 }, { admit });
    await assert.rejects(server.client(), /frame none/);
    const { counters, registry } = server.relay;
    assert.deepEqual([counters.admissionRefused, registry.keys], [1, 0]);
  }
});

Deno.test("admission may take its time, and be replaced while the relay runs", async () => {
  await using server = new TestServer();
  server.relay.admit = () => new Promise((resolve) => setTimeout(() => resolve(true), 20));
  const a = await server.client();
  server.relay.admit = () => false;
  await assert.rejects(server.client());
  await a.send(encodePing(new Uint8Array(8)));
  await a.expect(FrameType.Pong); // Those that are in stay.
});

Deno.test("a relay of the region needs no admission", async () => {
  const meshKey = new Uint8Array(32).fill(3);
  await using server = new TestServer({}, { meshKey, admit: () => false });
  await server.relayClient();
  assert.equal(server.relay.registry.keys, 1);
});

Deno.test("the time for ClientInfo does not count what admission takes, nor the other way round", async () => {
  const admit = () => new Promise<boolean>((resolve) => setTimeout(() => resolve(true), 120));
  await using server = new TestServer({ loginMs: 60, admitMs: 1000 }, { admit });
  await server.client();
  assert.equal(server.relay.counters.loginTimeouts, 0);
});

Deno.test("setRateLimit slows a client down without losing anything, and spares relays", async () => {
  const meshKey = new Uint8Array(32).fill(3);
  await using server = new TestServer({}, { meshKey });
  const { relay } = server;
  relay.setRateLimit({ bytesPerSecond: 200_000, burst: 1 });
  const [a, peer] = [await server.client(), await server.relayClient()];
  const packet = encodeSendPacket(new Uint8Array(32).fill(9), new Uint8Array(54));
  const many = new Uint8Array(1000 * packet.length); // 91 kB: 25 kB more than the least burst
  for (let at = 0; at < many.length; at += packet.length) many.set(packet, at);

  const flood = async (client: typeof a): Promise<number> => {
    const started = performance.now();
    await client.send(many);
    await client.send(encodePing(new Uint8Array(8)));
    await client.expect(FrameType.Pong);
    return performance.now() - started;
  };
  const before = relay.counters.rateLimitWaits;
  const spared = await flood(peer);
  assert.equal(relay.counters.rateLimitWaits, before);
  const slowed = await flood(a);
  assert(relay.counters.rateLimitWaits > before);
  assert(slowed > 100, `${slowed} ms, for a relay ${spared} ms`);
  assert.equal(relay.counters.packetsReceived, 2000, "none was lost");

  relay.setRateLimit({ bytesPerSecond: 1, burst: 0 });
  const stuck = flood(a);
  await new Promise((resolve) => setTimeout(resolve, 20));
  relay.setRateLimit(undefined); // Ends a wait of a day.
  await stuck;
});

Deno.test("a connection that waits for its rate ends at once when it is closed", async () => {
  await using server = new TestServer();
  server.relay.setRateLimit({ bytesPerSecond: 1, burst: 0 });
  const a = await server.client();
  await a.send(new Uint8Array(70_000).fill(0x7f, 0, 1).fill(0, 1, 5));
  const before = performance.now();
  while (server.relay.counters.rateLimitWaits === 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.equal(server.relay.closePeer(publicKeyOf(a.privateKey)), 1);
  assert.equal(await a.next(), undefined);
  assert(performance.now() - before < 5000);
  assert.equal(server.relay.registry.keys, 0);
});

Deno.test("announceRestart tells each client another time, and close does not tell twice", async () => {
  const server = new TestServer();
  const clients = [];
  for (let i = 0; i < 20; i++) clients.push(await server.client());
  const told = server.relay.announceRestart({ reconnectMs: 100, smearMs: 1000, tryMs: 7000 });
  assert.equal(told, 20);
  const waits = new Set<number>();
  for (const client of clients) {
    const view = new DataView((await client.expect(FrameType.Restarting)).buffer);
    const wait = view.getUint32(0);
    assert(wait >= 100 && wait <= 1100);
    waits.add(wait);
    assert.equal(view.getUint32(4), 7000);
  }
  assert(waits.size > 10);
  await server.relay.close();
  assert.equal(await clients[0]!.next(), undefined);
  assert.equal(server.relay.counters.restartingSent, 20);
});
