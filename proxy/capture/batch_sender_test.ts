import assert from "node:assert/strict";
import { datagramFd, nextFd, setReceiveBuffer } from "../../relay/net/mod.ts";
import { BatchSender } from "./batch_sender.ts";
import { type BatchCalls, batchCalls, HEADER } from "./libc.ts";
import { CaptureDrops } from "./types.ts";

/** A sender on a real socket, and a receiver, with libc calls that `alter` may spoil. */
function setUp(alter: (real: BatchCalls) => BatchCalls) {
  const real = batchCalls();
  if (real === undefined) {
    // deno-lint-ignore no-console
    console.log("skip: no libc by FFI here");
    return undefined;
  }
  const receiver = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { port } = receiver.addr as Deno.NetAddr;
  setReceiveBuffer(datagramFd("127.0.0.1", port)!, 4 << 20);
  const guess = nextFd();
  const from = Deno.listenDatagram({ transport: "udp", hostname: "127.0.77.8", port: 0 });
  const fd = datagramFd("127.0.77.8", (from.addr as Deno.NetAddr).port, guess)!;
  const drops = new CaptureDrops();
  const sender = new BatchSender(alter(real), drops);
  sender.setPort(port);
  const receive = async (count: number): Promise<Uint8Array[]> => {
    const got: Uint8Array[] = [];
    while (got.length < count) got.push((await receiver.receive())[0].slice());
    return got;
  };
  const close = () => {
    receiver.close();
    from.close();
  };
  return { sender, socket: { fd, first: -1, last: -1, memory: 0 }, drops, receive, close };
}

/** Packets of each message of a call. */
function packetsOf(headers: Uint8Array, count: number): number[] {
  const view = new DataView(headers.buffer);
  return Array.from(
    { length: count },
    (_, i) => view.getUint32(i * HEADER.size + HEADER.vectorLength, true),
  );
}

const buf = crypto.getRandomValues(new Uint8Array(32_768));

Deno.test("batch sender makes one message of a run and its shorter end", async () => {
  const calls: number[][] = [];
  const s = setUp((real) => ({
    ...real,
    sendmmsg(fd, headers, count, flags) {
      calls.push(packetsOf(headers, count));
      return real.sendmmsg(fd, headers, count, flags);
    },
  }));
  if (s === undefined) return;
  try {
    for (const [i, size] of [1000, 1000, 1000, 400, 1000, 1000, 1200].entries()) {
      s.sender.add(s.socket, buf, i * 1300, size);
    }
    s.sender.flush();
    const got = await s.receive(7);
    if (s.sender.segmentation) assert.deepEqual(calls, [[4, 2, 1]]);
    assert.deepEqual(got[3], buf.slice(3900, 4300));
    s.sender.flush();
    assert.equal(calls.length, s.sender.segmentation ? 1 : calls.length);
  } finally {
    s.close();
  }
});

Deno.test("batch sender goes on packet by packet when segmentation is refused", async () => {
  for (const refusal of [5, 22]) {
    let errno = 0;
    const s = setUp((real) => ({
      ...real,
      sendmmsg(fd, headers, count, flags) {
        const packets = packetsOf(headers, count);
        const good = packets.findIndex((n) => n > 1);
        if (good === 0) {
          errno = refusal;
          return -1;
        }
        return real.sendmmsg(fd, headers, good < 0 ? count : good, flags);
      },
      errno: () => errno,
    }));
    if (s === undefined) return;
    try {
      const sizes = [300, 600, 600, 600, 200, 900, 900];
      sizes.forEach((size, i) => s.sender.add(s.socket, buf, i * 1000, size));
      s.sender.flush();
      const got = await s.receive(sizes.length);
      sizes.forEach((size, i) => assert.deepEqual(got[i], buf.slice(i * 1000, i * 1000 + size)));
      assert.equal(s.sender.segmentation, false);
      assert.equal(s.drops.send_error, 0);
    } finally {
      s.close();
    }
  }
});

Deno.test("batch sender counts what fails and sends the rest when single messages fail", async () => {
  let call = 0;
  const s = setUp((real) => ({
    ...real,
    sendmmsg(fd, headers, count, flags) {
      call++;
      if (call === 1) return real.sendmmsg(fd, headers, Math.min(count, 1), flags); // partial
      if (call === 2 || call === 3) return -1;
      return real.sendmmsg(fd, headers, count, flags);
    },
    errno: () => call === 2 ? 4 /* EINTR */ : 11, /* EAGAIN */
  }));
  if (s === undefined) return;
  try {
    [100, 200, 300, 400].forEach((size, i) => s.sender.add(s.socket, buf, i * 500, size));
    s.sender.flush();
    const got = await s.receive(3);
    assert.deepEqual(got.map((d) => d.length), [100, 300, 400]);
    assert.equal(s.drops.send_error, 1);
  } finally {
    s.close();
  }
});

Deno.test("batch sender sends nothing on a socket that was closed after adding", () => {
  const s = setUp((real) => ({ ...real, sendmmsg: () => assert.fail("sent") }));
  if (s === undefined) return;
  s.sender.add(s.socket, buf, 0, 100);
  s.socket.fd = -1;
  s.sender.flush();
  s.sender.add(s.socket, buf, 0, 100);
  s.sender.flush();
  assert.equal(s.drops.send_error, 2);
  s.close();
});
