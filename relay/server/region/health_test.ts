import assert from "node:assert/strict";
import { decodeHealth, encodePing, FrameType, generatePrivateKey } from "../../derp/mod.ts";
import { type TestClient, TestServer } from "../testing.ts";

const meshKey = new Uint8Array(32).fill(0x33);

/** Has the client say something, and returns what it is told until that is answered. */
async function speak(client: TestClient): Promise<string[]> {
  await client.send(encodePing(new Uint8Array(8)));
  const told: string[] = [];
  for (;;) {
    const frame = (await client.next())!;
    if (frame.type === FrameType.Pong) return told;
    if (frame.type === FrameType.Health) told.push(decodeHealth(frame.payload));
  }
}

/** Both speak in turns, so often. */
async function fight(one: TestClient, other: TestClient, rounds: number): Promise<string[]> {
  const told: string[] = [];
  for (let i = 0; i < rounds; i++) told.push(...await speak(one), ...await speak(other));
  return told;
}

Deno.test("clients that share a key hear of it, each once, and when one is left", async () => {
  await using server = new TestServer();
  const key = generatePrivateKey();
  const [one, other] = [await server.client(Infinity, key), await server.client(Infinity, key)];
  const told = await fight(one, other, 5);
  assert.equal(told.length, 2);
  for (const text of told) assert.match(text, /^Another client uses this key too/);
  const third = await server.client(Infinity, key);
  assert.deepEqual(await speak(third), [told[0]], "a newcomer hears of it at once");
  third.close();
  one.close();
  assert.equal(decodeHealth(await other.expect(FrameType.Health)), "");
  assert.deepEqual(await speak(other), []);
});

Deno.test("a client that moves to a new connection hears of no problem", async () => {
  await using server = new TestServer();
  const key = generatePrivateKey();
  let last = await server.client(Infinity, key);
  for (let i = 0; i < 5; i++) {
    const next = await server.client(Infinity, key);
    assert.deepEqual([...await speak(last), ...await speak(next)], []);
    last.close();
    while (server.relay.registry.size > 1) await new Promise((resolve) => setTimeout(resolve, 1));
    last = next;
  }
  assert.deepEqual(await speak(last), []);
});

Deno.test("connections of another relay's workers hear of no problem", async () => {
  await using server = new TestServer({}, { meshKey });
  const key = generatePrivateKey();
  const [one, other] = [await server.relayClient(key), await server.relayClient(key)];
  assert.deepEqual(await fight(one, other, 5), []);
});
