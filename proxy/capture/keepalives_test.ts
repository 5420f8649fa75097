import assert from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import { FakeWireGuard, freePort } from "../testing.ts";
import { batchCalls, pinned, rawSocket } from "./libc.ts";
import { openCapture } from "./mod.ts";

/** WireGuard's data of a session, with its counter. */
function data(length: number, counter: bigint): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = 4;
  new DataView(bytes.buffer).setBigUint64(8, counter, true);
  return bytes;
}

/** Why there is nothing to test here; undefined: there is. */
function refused(): string | undefined {
  if (batchCalls() === undefined) return "no libc by FFI here";
  const socket = rawSocket(pinned(8).bytes.fill(6, 0, 1)); // one instruction: take nothing
  socket?.close();
  return socket === undefined ? "no raw sockets here" : undefined;
}

Deno.test("linux capture gathers keepalives until they are asked for, and nothing else", async () => {
  const reason = refused();
  if (reason !== undefined) return skip(reason);
  using wireguard = new FakeWireGuard();
  using stranger = new FakeWireGuard();
  const got: string[] = [];
  let wake = () => {}, batches = 0;
  const handler = {
    packet: (tag: string, bytes: Uint8Array, length: number) => {
      assert(bytes.length >= length && bytes.length < length + 64);
      const counter = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(8, true);
      got.push(`${tag} ${bytes[0]} ${length} ${counter}`);
    },
    batchEnd: () => {
      batches++;
      wake();
    },
    failed: () => {},
  };
  const capture = openCapture<string>("linux", handler);
  const other = openCapture<string>("linux", { ...handler, packet: () => got.push("other's") });
  const until = async (count: number) => {
    while (got.length < count) await new Promise<void>((resolve) => wake = resolve);
  };
  try {
    const port = freePort();
    capture.setWireguardPort(wireguard.port);
    other.setWireguardPort(wireguard.port);
    const a = { hostname: "127.0.78.3", port }, b = { hostname: "127.0.78.4", port };
    capture.open(a.hostname, port, "a");
    const socket = capture.open(b.hostname, port, "b");
    other.open("127.0.78.5", port, "c");

    await wireguard.send(data(32, 1n), a);
    await wireguard.send(data(32, 1n << 32n), b);
    await stranger.send(data(32, 7n), a);
    await wireguard.send(data(32, 7n), { hostname: "127.0.78.5", port });
    // The first of a session, what carries something, and what is no data come at once.
    await wireguard.send(data(32, 0n), a);
    await wireguard.send(data(48, 2n), b);
    await until(2);
    const handshake = data(32, 3n);
    handshake[0] = 1;
    await wireguard.send(handshake, a);
    await until(3);
    assert.deepEqual(got.toSorted(), ["a 1 32 3", "a 4 32 0", "b 4 48 2"]);

    got.length = batches = 0;
    capture.collect();
    assert.deepEqual(got, ["a 4 32 1", "b 4 32 4294967296"]);
    assert.equal(batches, 1);
    capture.collect();
    assert.equal(batches, 1, "they are handed on once");

    got.length = 0;
    for (let i = 1n; i <= 200n; i++) await wireguard.send(data(32, i), i % 2n === 0n ? a : b);
    capture.collect();
    assert.equal(got.length, 200);
    assert.deepEqual(got.slice(0, 2), ["b 4 32 1", "a 4 32 2"]);

    got.length = 0;
    await wireguard.send(data(32, 9n), b);
    await socket.close();
    capture.collect();
    assert.deepEqual(got, [], "its peer is gone");
  } finally {
    await capture.close();
    await other.close();
  }
  capture.collect();
});
