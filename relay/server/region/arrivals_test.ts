import assert from "node:assert/strict";
import {
  encodeClientInfo,
  encodeForwardPacket,
  encodeFrame,
  encodePing,
  encodePong,
  encodeSendPacket,
  encodeWatchConns,
  FrameType,
  generatePrivateKey,
  publicKeyOf,
} from "../../derp/mod.ts";
import { DropReason } from "../counters.ts";
import { ALL_TOLD, encodeSiblingPresent, openMark, SiblingFrame } from "../links/mod.ts";
import { MemorySocket, TestClient, TestServer } from "../testing.ts";
import { underLoad } from "../../../scripts/lab/support.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (payload: Uint8Array) => new TextDecoder().decode(payload.subarray(32));

/** Another worker that watches a server, and knows what was there before. */
async function sibling(server: TestServer, told = () => {}): Promise<TestClient> {
  const [here, there] = MemorySocket.pair();
  void server.relay.acceptSibling(there, told);
  const worker = new TestClient(here);
  await worker.send(encodeWatchConns());
  while ((await worker.next())!.type !== FrameType.Ping);
  return worker;
}

/** The key and the mark that a worker is told next. */
async function arrival(worker: TestClient): Promise<{ key: string; mark: Uint8Array }> {
  const key = (await worker.expect(FrameType.PeerPresent)).subarray(0, 32).toHex();
  return { key, mark: await worker.expect(FrameType.Ping) };
}

/** A client on the way in: what it does not wait for, and whether it was let in. */
function arriving(server: TestServer) {
  const client = server.open();
  const state = { client, in: false, done: client.login().then(() => void (state.in = true)) };
  return state;
}

const turns = async (n: number) => {
  for (; n > 0; n--) await new Promise((resolve) => setTimeout(resolve, 1));
};

Deno.test("a client is let in when all siblings know of it", async () => {
  await using server = new TestServer();
  const workers = [await sibling(server), await sibling(server)];
  const newcomers = [arriving(server), arriving(server)];
  const marks: Uint8Array[][] = [];
  for (const worker of workers) {
    marks.push([(await arrival(worker)).mark, (await arrival(worker)).mark]);
  }
  await turns(5);
  assert.deepEqual(newcomers.map((one) => one.in), [false, false]);
  await workers[0]!.send(encodePong(marks[0]![1]!));
  await workers[1]!.send(encodePong(marks[1]![0]!));
  await Promise.race(newcomers.map(({ done }) => done));
  await turns(5);
  assert.equal(newcomers.filter((one) => one.in).length, 1, "the second is not known to all");
  await workers[1]!.send(encodePong(marks[1]![1]!));
  await Promise.all(newcomers.map(({ done }) => done));
});

Deno.test("a client is let in when the sibling that did not know of it has ended", async () => {
  await using server = new TestServer();
  const worker = await sibling(server);
  const newcomer = arriving(server);
  await arrival(worker);
  const start = performance.now();
  worker.close();
  await newcomer.done;
  assert(performance.now() - start < underLoad(300), "it did not wait for its time to be over");
});

Deno.test("a client is let in though a sibling does not answer", async () => {
  await using server = new TestServer();
  const worker = await sibling(server);
  await Promise.all([arriving(server).done, arriving(server).done]);
  await worker.send(encodePong(new Uint8Array(8).fill(0xff))); // Not a number.
  await worker.send(encodeFrame(FrameType.Pong, new Uint8Array(7)));
  assert.equal(await worker.next().then((frame) => frame!.type), FrameType.PeerPresent);
});

Deno.test("ServerInfo is the first frame, and nothing a client sent passes it, while siblings hear", async () => {
  await using server = new TestServer();
  const other = await server.client();
  const worker = await sibling(server);
  const newcomer = server.open();
  const serverKey = (await newcomer.expect(FrameType.ServerKey)).slice(8, 40);
  const info = encodeClientInfo(newcomer.privateKey, serverKey, {
    version: 2,
    canAckPings: false,
  });
  await newcomer.send(
    Uint8Array.of(...info, ...encodeSendPacket(other.publicKey, bytes("at once"))),
  );
  const { key, mark } = await arrival(worker);
  assert.equal(key, newcomer.publicKey.toHex());
  await other.send(encodeSendPacket(newcomer.publicKey, bytes("early")));
  await other.send(encodePing(new Uint8Array(8)));
  await other.expect(FrameType.Pong); // Not the newcomer's packet: whoever got it could answer.
  await worker.send(encodePong(mark));
  await newcomer.expect(FrameType.ServerInfo);
  assert.equal(text(await newcomer.expect(FrameType.RecvPacket)), "early");
  assert.equal(text(await other.expect(FrameType.RecvPacket)), "at once");
});

Deno.test("a client that leaves before it is let in is gone", async () => {
  await using server = new TestServer();
  const worker = await sibling(server);
  const newcomer = arriving(server);
  const { key, mark } = await arrival(worker);
  server.relay.closePeer(Uint8Array.fromHex(key));
  await assert.rejects(newcomer.done);
  assert.equal((await worker.expect(FrameType.PeerGone)).subarray(0, 32).toHex(), key);
  await worker.send(encodePong(mark));
  await turns(5);
  assert.equal(server.relay.counters.currentConnections, 0);
  assert.deepEqual(server.relay.registry.check(), []);
});

Deno.test("a sibling is told of everybody, then marked, and heard when it knows", async () => {
  await using server = new TestServer({ controlBytes: 256 });
  const clients = await Promise.all(Array.from({ length: 50 }, () => server.client()));
  const [here, there] = MemorySocket.pair();
  let told = false;
  void server.relay.acceptSibling(there, () => told = true);
  const worker = new TestClient(here);
  await worker.send(encodeWatchConns());
  const seen = new Set<string>();
  let frame = (await worker.next())!;
  for (; frame.type === FrameType.PeerPresent; frame = (await worker.next())!) {
    seen.add(frame.payload.subarray(0, 32).toHex());
  }
  assert.deepEqual(seen, new Set(clients.map(({ publicKey }) => publicKey.toHex())));
  assert.equal(openMark(frame.payload, 0), ALL_TOLD);
  assert(!told);
  await worker.send(encodePong(frame.payload));
  await turns(5);
  assert(told);
});

Deno.test("a sibling's packets follow a key that has moved to a third, and no further", async () => {
  await using server = new TestServer();
  const worker = await sibling(server);
  const source = new Uint8Array(32).fill(7);
  const key = publicKeyOf(generatePrivateKey());
  const wrote: Uint8Array[] = [];
  const link = server.relay.region.open("third", true, {
    write: (bytes) => Promise.resolve(wrote.push(bytes.slice()) && bytes.length),
    close: () => {},
  });
  const plain = encodeSiblingPresent({ key }, 1).subarray(0, 56);
  server.relay.region.present(link, key, { plain, stamp: 1 });
  const packets = ["one", "two"].map((packet) => encodeSendPacket(key, bytes(packet)));
  await worker.send(encodeFrame(SiblingFrame.Run, source, ...packets));
  await turns(5);
  const expected = ["one", "two"].map((packet) => encodeForwardPacket(source, key, bytes(packet)));
  assert.deepEqual(wrote.flatMap((all) => [...all]), expected.flatMap((frame) => [...frame]));
  assert.equal(server.relay.counters.droppedTotal(), 0);
  await worker.send(encodeForwardPacket(source, key, bytes("three")));
  await turns(5);
  assert.equal(server.relay.counters.droppedTotal(DropReason.UnknownDestOnForward), 1);
});
