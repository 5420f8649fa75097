import assert from "node:assert/strict";
import { datagramFd, getSocketOption, libcPath } from "../../../relay/net/mod.ts";
import { raiseReceiveBuffers } from "./receive_buffer.ts";

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;

Deno.test("receive buffers of a process's UDP sockets are raised, never lowered, and others left", () => {
  if (libcPath() === undefined) {
    // deno-lint-ignore no-console
    console.log("skip: no libc by FFI here");
    return;
  }
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const fd = datagramFd("127.0.0.1", (socket.addr as Deno.NetAddr).port)!;
    const size = () => getSocketOption(fd, SOL_SOCKET, SO_RCVBUF)!;
    const before = size();
    if (raiseReceiveBuffers(Deno.pid, before) === 0) {
      // deno-lint-ignore no-console
      console.log("skip: descriptors of processes cannot be shared here");
      return;
    }
    assert(size() >= 2 * before, `${size()}`);
    const raised = size();
    assert(raiseReceiveBuffers(Deno.pid, 4096) >= 1);
    assert.equal(size(), raised);
  } finally {
    socket.close();
    tcp.close();
  }
});

Deno.test("receive buffers of a process that is gone are nobody's", async () => {
  const child = new Deno.Command("true").spawn();
  await child.status;
  assert.equal(raiseReceiveBuffers(child.pid), 0);
});
