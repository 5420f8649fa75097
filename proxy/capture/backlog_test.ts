import assert from "node:assert/strict";
import { datagramFd, setReceiveBuffer } from "../../relay/net/mod.ts";
import { BacklogGauge } from "./backlog.ts";
import { BatchSender, SMALL_PACKET } from "./batch_sender.ts";
import { type BatchCalls, batchCalls, HEADER } from "./libc.ts";
import { type Gauge, Room } from "./room.ts";
import { CaptureDrops } from "./types.ts";

const FULL = 1312;
const SMALL = SMALL_PACKET;
const buf = new Uint8Array(65_536);

/** A sender whose messages go nowhere, and the lengths of the packets of each socket in order. */
function sender(gauge?: Gauge) {
  const sent = new Map<number, number[]>();
  const calls: BatchCalls = {
    recvmmsg: () => -1,
    sendmmsg(fd, headers, count) {
      const lengths = sent.get(fd) ?? [];
      sent.set(fd, lengths);
      const view = new DataView(headers.buffer);
      for (let i = 0; i < count; i++) {
        const at = i * HEADER.size;
        const place = view.getBigUint64(at + HEADER.vector, true);
        const packets = view.getUint32(at + HEADER.vectorLength, true);
        const vectors = new Deno.UnsafePointerView(Deno.UnsafePointer.create(place)!);
        for (let p = 0; p < packets; p++) lengths.push(Number(vectors.getBigUint64(p * 16 + 8)));
      }
      return count;
    },
    errno: () => 0,
  };
  const drops = new CaptureDrops();
  const sender = new BatchSender(calls, drops, gauge && new Room(gauge));
  sender.setPort(51820);
  return { sender, drops, sent };
}

const socket = (fd: number) => ({ fd, first: -1, last: -1, memory: 0 });

/** A receive buffer of so many bytes, of which nothing is ever read. */
function fixed(capacity: number, waiting = 0) {
  const gauge = {
    asked: 0,
    waiting,
    measure: () => (gauge.asked++, { waiting: gauge.waiting, capacity }),
  };
  return gauge;
}

function withoutFfi(): boolean {
  if (batchCalls() !== undefined) return false;
  // deno-lint-ignore no-console
  console.log("skip: no libc by FFI here");
  return true;
}

Deno.test("batch sender keeps room for small packets when WireGuard's buffer fills up", () => {
  if (withoutFfi()) return;
  const { sender: s, drops, sent } = sender(fixed(212_992, 140_000));
  const one = socket(7);
  for (let i = 0; i < 40; i++) s.add(one, buf, 0, i % 4 === 3 ? SMALL : FULL);
  s.flush();
  const lengths = sent.get(7)!;
  assert.equal(lengths.filter((n) => n === SMALL).length, 10);
  const full = lengths.filter((n) => n === FULL).length;
  assert(full >= 5 && full <= 10, `${full} full-size packets`);
  assert.equal(drops.wireguard_full, 30 - full);
  assert.equal(drops.send_error, 0);
});

Deno.test("batch sender sends only small packets while WireGuard's buffer is full", () => {
  if (withoutFfi()) return;
  const gauge = fixed(212_992, 212_992);
  const { sender: s, drops, sent } = sender(gauge);
  const one = socket(7);
  s.add(one, buf, 0, FULL);
  s.flush();
  assert.deepEqual([sent.get(7), drops.wireguard_full], [undefined, 1]);
  s.add(one, buf, 0, FULL);
  s.add(one, buf, 0, 148);
  s.flush();
  assert.deepEqual([sent.get(7), drops.wireguard_full], [[148], 2]);
  gauge.waiting = 0;
  s.add(one, buf, 0, FULL);
  s.flush();
  assert.deepEqual([sent.get(7), drops.wireguard_full], [[148, FULL], 2]);
});

Deno.test("batch sender shares what room there is: a flood leaves others their part", () => {
  if (withoutFfi()) return;
  const { sender: s, drops, sent } = sender(fixed(212_992, 40_000));
  const [flood, other, third] = [socket(1), socket(2), socket(3)];
  for (let i = 0; i < 300; i++) s.add(flood, buf, 0, FULL);
  for (let i = 0; i < 5; i++) s.add(other, buf, 0, FULL);
  for (let i = 0; i < 100; i++) s.add(third, buf, 0, FULL);
  s.flush();
  const [first, second, last] = [1, 2, 3].map((fd) => sent.get(fd)?.length ?? 0);
  assert.equal(second, 5);
  assert(Math.abs(first! - last!) <= 1 && first! >= 15, `${first} and ${last}`);
  assert.equal(drops.wireguard_full, 405 - first! - second - last!);
});

Deno.test("batch sender looks at WireGuard's buffer when the room seen last is used up", () => {
  if (withoutFfi()) return;
  const gauge = fixed(4 << 20);
  const { sender: s, drops } = sender(gauge);
  const one = socket(7);
  for (let i = 0; i < 1000; i++) {
    s.add(one, buf, 0, FULL);
    s.flush();
  }
  assert(gauge.asked >= 10 && gauge.asked <= 60, `asked ${gauge.asked} times`);
  const { asked } = gauge;
  for (let i = 0; i < 1000; i++) {
    s.add(one, buf, 0, SMALL);
    s.flush();
  }
  assert.equal(gauge.asked, asked);
  assert.equal(drops.wireguard_full, 0);
});

Deno.test("batch sender sends everything where nothing is known of WireGuard's buffer", () => {
  if (withoutFfi()) return;
  const { sender: s, drops, sent } = sender({ measure: () => undefined });
  const one = socket(7);
  for (let i = 0; i < 2000; i++) s.add(one, buf, 0, FULL);
  s.flush();
  assert.deepEqual([sent.get(7)!.length, drops.wireguard_full], [2000, 0]);
});

Deno.test("backlog gauge tells what waits in a socket and how much may", async () => {
  const calls = batchCalls();
  if (calls === undefined) return void withoutFfi();
  const gauge = new BacklogGauge(calls);
  for (const hostname of ["127.0.0.1", "0.0.0.0"]) {
    const receiver = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    const { port } = receiver.addr as Deno.NetAddr;
    setReceiveBuffer(datagramFd(hostname, port)!, 300_000);
    const from = Deno.listenDatagram({ transport: "udp", hostname: "127.0.77.9", port: 0 });
    try {
      gauge.setPort(port);
      const empty = gauge.measure();
      if (empty === undefined) {
        // deno-lint-ignore no-console
        console.log("skip: no sock_diag here");
        return;
      }
      assert.equal(empty.waiting, 0);
      assert(empty.capacity >= 300_000 && empty.capacity <= 600_000, `${empty.capacity}`);
      for (let i = 0; i < 10; i++) {
        await from.send(new Uint8Array(FULL), { transport: "udp", hostname: "127.0.0.1", port });
      }
      const { waiting } = gauge.measure()!;
      assert(waiting >= 10 * FULL && waiting < 10 * 3 * FULL, `${waiting}`);
    } finally {
      receiver.close();
      from.close();
    }
    assert.equal(gauge.measure(), undefined);
  }
  gauge.close();
  gauge.close();
  assert.equal(gauge.measure(), undefined);
});
