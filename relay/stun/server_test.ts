import { deepEqual, equal, match, rejects } from "node:assert/strict";
import {
  encodeBindingRequest,
  newTransactionId,
  parseBindingResponse,
  type StunResponse,
} from "./mod.ts";
import { startStunServer, type StunServer, StunServerError } from "./server.ts";

const WAIT_MS = 5000;

function client(hostname: string): Deno.DatagramConn & Disposable {
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  return Object.assign(socket, { [Symbol.dispose]: () => socket.close() });
}

function portOf(socket: Deno.DatagramConn): number {
  return (socket.addr as Deno.NetAddr).port;
}

/** Asks once; the server must answer within the time limit. */
async function ask(
  socket: Deno.DatagramConn,
  server: StunServer,
  hostname: string,
): Promise<StunResponse> {
  const txid = newTransactionId();
  await send(socket, server, hostname, encodeBindingRequest(txid));
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("no STUN answer")), WAIT_MS);
  try {
    const [datagram] = await Promise.race([socket.receive(), promise]);
    const answer = parseBindingResponse(datagram)!;
    deepEqual(answer.txid, txid);
    return answer;
  } finally {
    clearTimeout(timer);
  }
}

function send(socket: Deno.DatagramConn, server: StunServer, hostname: string, data: Uint8Array) {
  return socket.send(data, { transport: "udp", hostname, port: server.port });
}

Deno.test("the STUN server tells a client its address when asked, again and again", async () => {
  await using server = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  using socket = client("127.0.0.1");
  for (let i = 0; i < 5; i++) {
    const answer = await ask(socket, server, "127.0.0.1");
    equal(answer.address, "127.0.0.1");
    equal(answer.port, portOf(socket));
  }
  deepEqual(server.counters, {
    requests: { success: 5, not_stun: 0, read_error: 0, write_error: 0 },
    families: { ipv4: 5, ipv6: 0 },
  });
});

Deno.test("the STUN server answers both families when it listens on the wildcard", async () => {
  for (const hostname of ["", "::"]) {
    await using server = await startStunServer({ hostname, port: 0 });
    using v4 = client("127.0.0.1");
    equal((await ask(v4, server, "127.0.0.1")).address, "127.0.0.1");
    // deno-lint-ignore no-console
    if (server.hostname !== "::") return console.log("skip: no IPv6 on this host");
    using v6 = client("::1");
    const answer = await ask(v6, server, "::1");
    deepEqual([answer.address, answer.port], ["::1", portOf(v6)]);
    deepEqual(server.counters.families, { ipv4: 1, ipv6: 1 });
  }
});

Deno.test("the STUN server stays silent and alive when datagrams are bad", async () => {
  await using server = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  using socket = client("127.0.0.1");
  const request = encodeBindingRequest(newTransactionId());
  const bad = [
    new Uint8Array(0),
    new Uint8Array(1),
    new Uint8Array(20),
    request.subarray(0, 39),
    request.map((byte, i) => i === 39 ? byte ^ 1 : byte),
    crypto.getRandomValues(new Uint8Array(3000)),
    new Uint8Array(9000).fill(0x21),
  ];
  for (const datagram of bad) await send(socket, server, "127.0.0.1", datagram);
  equal((await ask(socket, server, "127.0.0.1")).port, portOf(socket));
  equal(server.counters.requests.not_stun, bad.length);
  equal(server.counters.requests.success, 1);
});

Deno.test("the STUN server says what to do when its port is taken", async () => {
  await using server = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  await rejects(startStunServer({ hostname: "127.0.0.1", port: server.port }), (error) => {
    equal(error instanceof StunServerError && error.exitCode, 1);
    match(String(error), /Cannot serve STUN on 127\.0\.0\.1:\d+: UDP port in use; choose another/);
    return true;
  });
});

Deno.test("a STUN server takes a port over when its predecessor is about to give it up", async () => {
  const old = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  const { port } = old;
  await using server = await startStunServer({ hostname: "127.0.0.1", port, takeOver: true });
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  await ask(socket, server, "127.0.0.1");
  equal(server.counters.requests.success, 1, "the newer one answers");
  await old.close();
  await ask(socket, server, "127.0.0.1");
  equal(server.counters.requests.success, 2);
  equal(old.counters.requests.success, 0);
  socket.close();
});

Deno.test("the STUN server lets go of its port when closed, and close may be called twice", async () => {
  const server = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  await Promise.all([server.close(), server.close()]);
  const again = await startStunServer({ hostname: "127.0.0.1", port: server.port });
  await again.close();
});

/** A socket whose reads and sends fail as told, then block until closed. */
function brokenSocket(reads: (Error | Uint8Array)[]): Deno.DatagramConn {
  const closed = Promise.withResolvers<never>();
  closed.promise.catch(() => {});
  const socket = {
    addr: { transport: "udp", hostname: "127.0.0.1", port: 1 },
    receive() {
      const next = reads.shift();
      if (next === undefined) return closed.promise;
      if (next instanceof Error) return Promise.reject(next);
      return Promise.resolve([next, { transport: "udp", hostname: "192.0.2.1", port: 0 }]);
    },
    send: () => Promise.reject(new TypeError("Invalid argument")),
    close: () => closed.reject(new Deno.errors.Interrupted("closed")),
  };
  return socket as unknown as Deno.DatagramConn;
}

/** Lets pending promises go on until the condition holds. */
async function turns(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await Promise.resolve();
  equal(condition(), true);
}

Deno.test("the STUN server counts and goes on when a read or an answer fails", async () => {
  const { StunServer } = await import("./server.ts");
  const request = encodeBindingRequest(newTransactionId());
  const sent = new StunServer(brokenSocket([request, request]));
  await turns(() => sent.counters.requests.write_error === 2);
  await sent.close();
  equal(sent.counters.requests.success, 0);

  const read = new StunServer(brokenSocket([new Error("socket trouble")]));
  await turns(() => read.counters.requests.read_error === 1);
  const started = performance.now();
  await read.close(); // does not wait for the pause after a failed read
  equal(performance.now() - started < 900, true);
  equal(read.counters.requests.read_error, 1);
});
