import assert from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import { socketFds } from "./sockets.ts";
import { steerConnections, stopSteering } from "./steer.ts";

Deno.test("steerConnections gives every new connection to one listener until it is told to stop", async () => {
  if (socketFds().size === 0) return skip("no FFI, or not Linux");
  const counts = [0, 0];
  const open = (port: number) => Deno.listen({ hostname: "127.0.0.1", port, reusePort: true });
  const first = open(0);
  const { port } = first.addr as Deno.NetAddr;
  const listeners = [first, open(port)];
  const loops = listeners.map(async (listener, i) => {
    for await (const conn of listener) {
      counts[i]! += 1;
      conn.close();
    }
  });
  const connect = async () => {
    counts.fill(0);
    for (let i = 0; i < 60; i++) {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.read(new Uint8Array(1));
    }
    return counts;
  };
  assert.equal(steerConnections(port, 1), true);
  assert.deepEqual(await connect(), [0, 60]);
  assert.equal(steerConnections(port, 0), true);
  assert.deepEqual(await connect(), [60, 0]);
  assert.equal(steerConnections(port, 7), true);
  assert((await connect()).every((n) => n > 0), "there is no eighth");
  steerConnections(port, 1);
  stopSteering(port);
  assert((await connect()).every((n) => n > 0));
  for (const listener of listeners) listener.close();
  await Promise.all(loops);
  assert.equal(steerConnections(port, 0), false, "nobody listens any more");
});
