import assert from "node:assert/strict";
import { MemorySocket } from "../../server/testing.ts";
import type { Sweep } from "../../server/mod.ts";
import { CloseCode, MAX_MESSAGE, Opcode } from "./decoder.ts";
import { clientFrame, TestWebSocket } from "./testing.ts";
import { closeFrame, WebSocketTransport } from "./transport.ts";

/** A sweep whose deadlines the test lets pass. */
class HandSweep {
  readonly waiting = new Set<() => void>();
  deadline(_ms: number, expired: () => void) {
    this.waiting.add(expired);
    return { end: () => void this.waiting.delete(expired) };
  }
}

function setUp(high?: number, initial = new Uint8Array(0)) {
  const [ours, theirs] = MemorySocket.pair(high);
  const sweep = new HandSweep();
  const transport = new WebSocketTransport(ours, initial, sweep as unknown as Sweep);
  return { ours, theirs, sweep, transport, client: new TestWebSocket(theirs) };
}

async function sendAll(transport: WebSocketTransport, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await transport.write(bytes.subarray(at));
}

const random = (length: number) => {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
};

Deno.test("WebSocketTransport reads messages as one stream, with what came early first", async () => {
  const early = clientFrame(Opcode.Binary, Uint8Array.of(1, 2, 3, 4));
  const { transport, client } = setUp(undefined, early.slice());
  await client.binary(Uint8Array.of(5));
  await client.binary(new Uint8Array(0));
  await client.binary(Uint8Array.of(6));
  const got: number[] = [];
  const buffer = new Uint8Array(3);
  while (got.length < 6) {
    const n = await transport.read(buffer);
    assert(n !== null && n > 0, "never zero: that would be a busy loop");
    got.push(...buffer.subarray(0, n));
  }
  assert.deepEqual(got, [1, 2, 3, 4, 5, 6]);
});

Deno.test("WebSocketTransport writes header and payload at once, in messages a client takes", async () => {
  const { transport, client, ours } = setUp();
  for (const length of [1, 125, 126, 2044, 2045, MAX_MESSAGE]) {
    const bytes = random(length);
    const before = ours.writes;
    assert.equal(await transport.write(bytes), length);
    assert.equal(ours.writes, before + 1);
    assert.deepEqual(await client.next(), { opcode: Opcode.Binary, payload: bytes });
  }
  const long = random(MAX_MESSAGE + 1);
  await sendAll(transport, long);
  assert.equal((await client.next())!.payload.length, MAX_MESSAGE);
  assert.deepEqual((await client.next())!.payload, long.subarray(MAX_MESSAGE));
});

Deno.test("WebSocketTransport continues a message that the connection took only in part", async () => {
  const [ours, theirs] = MemorySocket.pair();
  // Takes three bytes at a time.
  const slow = {
    read: (buffer: Uint8Array) => ours.read(buffer),
    write: (bytes: Uint8Array) => ours.write(bytes.subarray(0, 3)),
    close: () => ours.close(),
  };
  const transport = new WebSocketTransport(
    slow,
    new Uint8Array(0),
    new HandSweep() as unknown as Sweep,
  );
  const client = new TestWebSocket(theirs);
  const bytes = random(200);
  // A ping in the middle must wait for the message's end.
  await client.send(clientFrame(Opcode.Ping, Uint8Array.of(7)), clientFrame(Opcode.Binary, bytes));
  let at = await transport.write(bytes);
  assert(at < bytes.length);
  assert.equal(await transport.read(new Uint8Array(400)), 200);
  while (at < bytes.length) at += await transport.write(bytes.subarray(at));
  assert.deepEqual(await client.next(), { opcode: Opcode.Binary, payload: bytes });
  assert.deepEqual(await client.next(), { opcode: Opcode.Pong, payload: Uint8Array.of(7) });
});

Deno.test("WebSocketTransport answers the last ping of a flood when its client reads nothing", async () => {
  const { transport, client, ours } = setUp(1);
  const reading = transport.read(new Uint8Array(512));
  for (let i = 0; i < 200; i++) await client.send(clientFrame(Opcode.Ping, Uint8Array.of(i)));
  await client.binary(Uint8Array.of(1));
  assert.equal(await reading, 1);
  assert(ours.writes <= 2, "the second is on its way, and one more waits");
  for (const answered of [0, 1, 199]) {
    assert.deepEqual((await client.next())!.payload, Uint8Array.of(answered));
  }
});

Deno.test("WebSocketTransport answers a close with its code and ends the stream", async () => {
  for (
    const [sent, answered] of [[[3, 0xe8], [3, 0xe8]], [[3, 0xe9, 0x62], [3, 0xe9]], [[], [
      3,
      0xe8,
    ]]]
  ) {
    const { transport, client } = setUp();
    await client.send(
      clientFrame(Opcode.Binary, Uint8Array.of(1)),
      clientFrame(Opcode.Close, Uint8Array.from(sent!)),
    );
    const buffer = new Uint8Array(64);
    assert.equal(await transport.read(buffer), 1);
    assert.equal(await transport.read(buffer), null);
    assert.deepEqual(await client.next(), {
      opcode: Opcode.Close,
      payload: Uint8Array.from(answered!),
    });
    await assert.rejects(transport.write(Uint8Array.of(1)), Deno.errors.BrokenPipe);
    transport.close();
    assert.equal(await client.next(), undefined);
  }
});

Deno.test("WebSocketTransport names the fault, and waits for the client's end only so long", async () => {
  const { transport, client, sweep, theirs } = setUp();
  await client.send(clientFrame(Opcode.Binary, new Uint8Array(MAX_MESSAGE + 1)));
  const reading = transport.read(new Uint8Array(512));
  const said = await client.next();
  assert.deepEqual(
    said!.payload,
    Uint8Array.of(CloseCode.MessageTooBig >> 8, CloseCode.MessageTooBig & 255),
  );
  assert.equal(sweep.waiting.size, 1);
  for (const expired of sweep.waiting) expired();
  assert.equal(await reading, null);
  assert.equal(sweep.waiting.size, 0);
  assert.equal(await client.next(), undefined);
  theirs.close();
});

Deno.test("WebSocketTransport says goodbye when it is closed, if nothing stands in the way", async () => {
  const quiet = setUp();
  quiet.transport.close();
  assert.deepEqual(await quiet.client.next(), {
    opcode: Opcode.Close,
    payload: closeFrame(CloseCode.Normal).subarray(2),
  });
  assert.equal(await quiet.client.next(), undefined);
  quiet.transport.close();

  const busy = setUp(1);
  await busy.transport.write(Uint8Array.of(1));
  const stuck = busy.transport.write(Uint8Array.of(2));
  busy.transport.close();
  await assert.rejects(stuck);
  assert.deepEqual((await busy.client.next())!.payload, Uint8Array.of(1));
  assert.equal(await busy.client.next(), undefined);
});

Deno.test("WebSocketTransport makes the writer wait for a client that does not read", async () => {
  const { transport, client } = setUp(1000);
  await transport.write(new Uint8Array(900));
  let done = false;
  const second = transport.write(new Uint8Array(900)).then(() => done = true);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(done, false);
  await client.next();
  await second;
});
