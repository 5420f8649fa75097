import assert from "node:assert/strict";
import { FakeWireGuard, freePort } from "../testing.ts";
import { batchCalls } from "./libc.ts";
import { type Capture, type CaptureSocket, MAX_DATAGRAM, openCapture } from "./mod.ts";

/** A capture that keeps what it gets. */
class Recorder implements AsyncDisposable {
  readonly capture: Capture<string>;
  readonly got: { tag: string; data: Uint8Array }[] = [];
  batches = 0;
  failures: string[] = [];
  #wake: (() => void) | undefined;

  constructor(kind: "portable" | "linux") {
    this.capture = openCapture<string>(kind, {
      packet: (tag, data, length) => {
        assert(data.length >= length && data.length < length + 64);
        this.got.push({ tag, data: data.slice(0, length) });
      },
      batchEnd: () => {
        this.batches++;
        this.#wake?.();
      },
      failed: (tag) => this.failures.push(tag),
    });
  }

  async waitFor(count: number): Promise<void> {
    while (this.got.length < count) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async [Symbol.asyncDispose]() {
    await this.capture.close();
  }
}

function packet(length: number, seed: number): Uint8Array {
  const data = new Uint8Array(length).fill(seed);
  if (length >= 4) new DataView(data.buffer).setUint32(0, seed);
  return data;
}

for (const kind of ["portable", "linux"] as const) {
  const test = (name: string, body: () => Promise<void>) =>
    Deno.test(`${kind} capture ${name}`, async () => {
      if (kind === "linux" && batchCalls() === undefined) {
        // deno-lint-ignore no-console
        console.log("skip: no libc by FFI here");
        return;
      }
      await body();
    });

  test("tells peers apart by the address a packet was sent to", async () => {
    using wireguard = new FakeWireGuard();
    await using recorder = new Recorder(kind);
    const port = freePort();
    recorder.capture.setWireguardPort(wireguard.port);
    recorder.capture.open("127.0.77.3", port, "a");
    recorder.capture.open("127.0.77.4", port, "b");
    await wireguard.send(packet(148, 1), { hostname: "127.0.77.3", port });
    await recorder.waitFor(1);
    await wireguard.send(packet(92, 2), { hostname: "127.0.77.4", port });
    await recorder.waitFor(2);
    assert.deepEqual(recorder.got, [
      { tag: "a", data: packet(148, 1) },
      { tag: "b", data: packet(92, 2) },
    ]);
  });

  test("keeps content and order of a burst of mixed sizes", async () => {
    using wireguard = new FakeWireGuard();
    await using recorder = new Recorder(kind);
    const port = freePort();
    recorder.capture.setWireguardPort(wireguard.port);
    recorder.capture.open("127.0.77.3", port, "a");
    const sent: Uint8Array[] = [];
    // In steps, because a default receive buffer holds few packets.
    for (let step = 0; step < 8; step++) {
      for (let i = 0; i < 50; i++) {
        const n = sent.length;
        sent.push(packet(n % 3 === 0 ? 1312 : 32 + (n * 37) % 1400, n));
        await wireguard.send(sent[n]!, { hostname: "127.0.77.3", port });
      }
      await recorder.waitFor(sent.length);
    }
    for (let i = 0; i < sent.length; i++) assert.deepEqual(recorder.got[i]!.data, sent[i]);
    assert(recorder.batches > 0);
  });

  test("takes packets from WireGuard's port only, of whichever loopback address", async () => {
    using wireguard = new FakeWireGuard();
    using otherAddress = new FakeWireGuard("127.0.77.9", wireguard.port);
    using stranger = new FakeWireGuard();
    await using recorder = new Recorder(kind);
    const port = freePort();
    recorder.capture.setWireguardPort(wireguard.port);
    recorder.capture.open("127.0.77.3", port, "a");
    const to = { hostname: "127.0.77.3", port };
    for (let i = 0; i < 10; i++) await stranger.send(packet(100, 66), to);
    await recorder.until(() => recorder.capture.drops.wrong_source === 10);
    await otherAddress.send(packet(100, 1), to);
    await wireguard.send(packet(100, 2), to);
    await recorder.waitFor(2);
    assert.deepEqual(recorder.got.map((p) => p.data[3]).sort(), [1, 2]);
    recorder.capture.setWireguardPort(stranger.port);
    await stranger.send(packet(100, 3), to);
    await recorder.waitFor(3);
    assert.equal(recorder.got[2]!.data[3], 3);
  });

  test("drops and counts what is too large or empty, and passes jumbo packets", async () => {
    using wireguard = new FakeWireGuard();
    await using recorder = new Recorder(kind);
    const port = freePort();
    recorder.capture.setWireguardPort(wireguard.port);
    recorder.capture.open("127.0.77.3", port, "a");
    const to = { hostname: "127.0.77.3", port };
    // Twice: the first of a wake-up and the later ones are read in different ways.
    for (const _ of [1, 2]) {
      await wireguard.send(packet(MAX_DATAGRAM + 1, 1), to);
      await wireguard.send(packet(20_000, 1), to);
      await wireguard.send(new Uint8Array(), to);
      await wireguard.send(packet(MAX_DATAGRAM, 2), to);
    }
    await recorder.waitFor(2);
    assert.deepEqual(recorder.got.map((p) => p.data.length), [MAX_DATAGRAM, MAX_DATAGRAM]);
    assert.equal(recorder.capture.drops.too_large, 4);
    assert.equal(recorder.capture.drops.empty, 2);
  });

  test("sends runs and mixed sizes from exactly the peer's address", async () => {
    using wireguard = new FakeWireGuard();
    await using recorder = new Recorder(kind);
    const port = freePort();
    recorder.capture.setWireguardPort(wireguard.port);
    const sockets = ["127.0.77.3", "127.0.77.4"].map((a) => recorder.capture.open(a, port, a));
    // Runs of one size with a shorter end, single ones, growing ones; two peers in between.
    const sizes = [
      ...Array(70).fill(1312),
      500,
      ...Array(10).fill(1312),
      32,
      64,
      1400,
      148,
      ...Array(30).fill(92),
    ];
    const buf = new Uint8Array(131_072).fill(255);
    const expected = new Map<CaptureSocket, Uint8Array[]>(sockets.map((s) => [s, []]));
    for (let round = 0; round < 3; round++) {
      let at = 37;
      sizes.forEach((size: number, i) => {
        const socket = sockets[i % 7 === 0 ? 1 : 0]!;
        const data = packet(size, round * 1000 + i);
        buf.set(data, at);
        recorder.capture.send(socket, buf, at, size);
        expected.get(socket)!.push(data);
        at += size + 37;
      });
      await recorder.capture.flush();
      buf.fill(255); // the buffer is free again: what was sent must not change
      await wireguard.waitFor((round + 1) * sizes.length);
    }
    for (const socket of sockets) {
      const got = wireguard.got.filter((p) => p.from === `${socket.address}:${port}`);
      const want = expected.get(socket)!;
      assert.equal(got.length, want.length);
      for (let i = 0; i < want.length; i++) assert.deepEqual(got[i]!.data, want[i], `packet ${i}`);
    }
    assert.deepEqual({ ...recorder.capture.drops }, {
      wrong_source: 0,
      too_large: 0,
      empty: 0,
      send_error: 0,
      wireguard_full: 0,
    });
  });

  test("sends more packets than one batch holds when flushed once", async () => {
    using wireguard = new FakeWireGuard();
    await using recorder = new Recorder(kind);
    recorder.capture.setWireguardPort(wireguard.port);
    const socket = recorder.capture.open("127.0.77.3", freePort(), "a");
    const buf = crypto.getRandomValues(new Uint8Array(4096));
    for (let i = 0; i < 700; i++) recorder.capture.send(socket, buf, i, 40 + (i % 2));
    await recorder.capture.flush();
    await wireguard.waitFor(700);
    const sum = (list: Uint8Array[]) => list.map((d) => d.join()).sort();
    const want = Array.from({ length: 700 }, (_, i) => buf.slice(i, i + 40 + (i % 2)));
    assert.deepEqual(sum(wireguard.got.map((p) => p.data)), sum(want));
  });

  test("counts and survives what cannot be sent", async () => {
    using wireguard = new FakeWireGuard();
    await using recorder = new Recorder(kind);
    const { capture } = recorder;
    const socket = capture.open("127.0.77.3", freePort(), "a");
    const buf = new Uint8Array(70_000);
    capture.send(socket, buf, 0, 100); // WireGuard's port is not known yet
    capture.setWireguardPort(wireguard.port);
    capture.send(socket, buf, 0, 65_508);
    capture.send(socket, buf, 0, 0);
    capture.send(socket, buf, 0, 65_507);
    await capture.flush();
    await wireguard.waitFor(1);
    assert.equal(wireguard.got[0]!.data.length, 65_507);
    await socket.close();
    capture.send(socket, buf, 0, 100);
    await capture.flush();
    assert.deepEqual({ ...capture.drops }, {
      wrong_source: 0,
      too_large: 1,
      empty: 1,
      send_error: 2,
      wireguard_full: 0,
    });
  });

  test("frees the address when closed, once or twice, and tells of taken ones", async () => {
    using wireguard = new FakeWireGuard();
    await using recorder = new Recorder(kind);
    recorder.capture.setWireguardPort(wireguard.port);
    const port = freePort();
    const socket = recorder.capture.open("127.0.77.3", port, "a");
    assert.throws(() => recorder.capture.open("127.0.77.3", port, "b"), Deno.errors.AddrInUse);
    await Promise.all([socket.close(), socket.close()]);
    recorder.capture.open("127.0.77.3", port, "b");
    await wireguard.send(packet(50, 5), { hostname: "127.0.77.3", port });
    await recorder.waitFor(1);
    assert.equal(recorder.got[0]!.tag, "b");
    assert.deepEqual(recorder.failures, []);
  });

  test("resumes when WireGuard's port was closed for a while", async () => {
    await using recorder = new Recorder(kind);
    const port = freePort();
    const wireguardPort = freePort();
    recorder.capture.setWireguardPort(wireguardPort);
    const socket = recorder.capture.open("127.0.77.3", port, "a");
    const buf = packet(200, 8);
    for (let i = 0; i < 3; i++) {
      recorder.capture.send(socket, buf, 0, 200);
      await recorder.capture.flush();
    }
    using wireguard = new FakeWireGuard("127.0.0.1", wireguardPort);
    recorder.capture.send(socket, buf, 0, 200);
    await recorder.capture.flush();
    await wireguard.waitFor(1);
    await wireguard.send(buf, { hostname: "127.0.77.3", port });
    await recorder.waitFor(1);
    assert.deepEqual(recorder.failures, []);
  });
}
