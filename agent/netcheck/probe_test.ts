import assert from "node:assert/strict";
import { encodeBindingResponse, parseBindingRequest } from "../../relay/stun/mod.ts";
import { startStunServer } from "../../relay/stun/server.ts";
import { probe } from "./mod.ts";

type Reply = (
  socket: Deno.DatagramConn,
  txid: Uint8Array,
  from: Deno.NetAddr,
  count: number,
) => void | Promise<unknown>;

/** A STUN server on loopback that answers as it is told to. */
function server(reply: Reply): { name: string; asked: () => number; [Symbol.dispose](): void } {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  let count = 0;
  (async () => {
    for await (const [datagram, from] of socket) {
      const txid = parseBindingRequest(datagram);
      if (txid) await reply(socket, txid, from as Deno.NetAddr, ++count);
    }
  })();
  return {
    name: `127.0.0.1:${(socket.addr as Deno.NetAddr).port}`,
    asked: () => count,
    [Symbol.dispose]: () => socket.close(),
  };
}

/** Answers with a fixed address. */
const says = (address: string, port: number): Reply => (socket, txid, from) =>
  socket.send(encodeBindingResponse(txid, { address, port }), from);
const silent: Reply = () => {};

Deno.test("probe finds a NAT that maps a port the same for every server", async () => {
  await using one = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  await using two = await startStunServer({ hostname: "127.0.0.1", port: 0 });
  const servers = [one, two].map(({ port }) => `localhost:${port}`);
  const result = await probe({ port: 0, servers, timeoutMs: 5000 });
  assert.equal(result.symmetric, false);
  assert.equal(result.reflexive, `127.0.0.1:${result.port}`);
  assert.deepEqual(result.servers.filter((s) => s.seen).map((s) => s.server), servers);
  for (const { seen, rttMs } of result.servers) assert.ok(!seen || (rttMs! > 0 && rttMs! < 5000));
  assert.deepEqual(result.errors, []);
  // The port is free for WireGuard at once.
  Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: result.port }).close();
});

Deno.test("probe finds a symmetric NAT and reports the first server's view", async () => {
  using one = server(says("203.0.113.5", 1000));
  using two = server(says("203.0.113.5", 1001));
  const result = await probe({ port: 0, servers: [one.name, two.name], timeoutMs: 5000 });
  assert.equal(result.symmetric, true);
  assert.equal(result.reflexive, "203.0.113.5:1000");
});

Deno.test("probe does not wait for a silent third server", async () => {
  using one = server(says("203.0.113.5", 1000));
  using two = server(says("203.0.113.5", 1000));
  using three = server(silent);
  const servers = [three.name, one.name, two.name];
  const result = await probe({ port: 0, servers, timeoutMs: 60_000 });
  assert.equal(result.symmetric, false);
  assert.equal(result.reflexive, "203.0.113.5:1000");
  assert.deepEqual(result.errors, []);
});

Deno.test("probe asks again when a packet is lost", async () => {
  using one = server((socket, txid, from, count) =>
    count === 3 ? says("203.0.113.5", 1000)(socket, txid, from, count) : undefined
  );
  using two = server(says("203.0.113.5", 1000));
  const result = await probe({ port: 0, servers: [one.name, two.name], timeoutMs: 10_000 });
  assert.equal(result.servers.filter((s) => s.seen).length, 2);
  assert.equal(one.asked(), 3);
  assert.equal(two.asked(), 1);
});

Deno.test("probe knows nothing of the NAT from one answer, and nothing from none", async () => {
  using one = server(says("203.0.113.5", 1000));
  using two = server(silent);
  const result = await probe({ port: 0, servers: [two.name, one.name], timeoutMs: 400 });
  assert.equal(result.symmetric, undefined);
  assert.equal(result.reflexive, "203.0.113.5:1000");
  assert.deepEqual(result.errors, [`STUN server ${two.name}: no answer`]);

  const none = await probe({ port: 0, servers: [two.name], timeoutMs: 50 });
  assert.equal("reflexive" in none, false);
  assert.equal(none.symmetric, undefined);
});

Deno.test("probe believes no answer that it did not ask for", async () => {
  const stranger = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  using forged = server(async (socket, txid, from) => {
    const lie = { address: "203.0.113.66", port: 66 };
    const other = txid.map((byte) => byte ^ 0xff);
    await stranger.send(encodeBindingResponse(txid, lie), from);
    await socket.send(encodeBindingResponse(other, lie), from);
    await socket.send(new Uint8Array(3), from);
    await socket.send(encodeBindingResponse(txid, { address: "203.0.113.5", port: 5 }), from);
  });
  const result = await probe({ port: 0, servers: [forged.name], timeoutMs: 5000 });
  stranger.close();
  assert.equal(result.reflexive, "203.0.113.5:5");
});

Deno.test("probe publishes no address that is none", async () => {
  const lies: [string, number][] = [["0.0.0.0", 5], ["224.0.0.1", 5], ["203.0.113.5", 0], [
    "2001:db8::1",
    5,
  ]];
  for (const [address, port] of lies) {
    using liar = server(says(address, port));
    const result = await probe({ port: 0, servers: [liar.name], timeoutMs: 5000 });
    assert.equal(result.reflexive, undefined);
    assert.match(result.errors[0]!, /no host's address|asked over IPv4/);
  }
});

Deno.test("probe says which servers are of no use", async () => {
  using one = server(says("203.0.113.5", 1000));
  const port = one.name.split(":")[1];
  const servers = [
    one.name,
    `localhost:${port}`,
    "nexd.invalid:3478",
    "[::1]:3478",
    "x:y:z",
    ":1",
    "host:0",
  ];
  const result = await probe({ port: 0, servers, timeoutMs: 5000 });
  assert.equal(result.servers.filter((s) => s.seen).length, 1);
  assert.equal(result.symmetric, undefined);
  assert.equal(result.errors.length, 6);
  assert.match(result.errors[0]!, /the same address as 127/);
  assert.match(result.errors[1]!, /^STUN server nexd.invalid:3478: /);
  assert.match(result.errors[2]!, /^STUN server \[::1\]:3478: /);
});

Deno.test("probe without servers ends at once", async () => {
  const { servers: answers, errors } = await probe({ port: 0, servers: [], timeoutMs: 60_000 });
  assert.deepEqual([answers, errors], [[], []]);
});

Deno.test("probe tells that its port is taken", async () => {
  const taken = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  await assert.rejects(probe({ port, servers: [], timeoutMs: 100 }), {
    exitCode: 1,
    message: new RegExp(`UDP port ${port}: port in use; .*--listen-port`),
  });
});

Deno.test("probe tells how fast every server is, and waits for the slow ones, when asked to", async () => {
  using one = server(says("203.0.113.5", 1000));
  using two = server(says("203.0.113.5", 1000));
  using slow = server(async (socket, txid, from) => {
    await new Promise((resolve) => setTimeout(resolve, 250));
    await socket.send(encodeBindingResponse(txid, { address: "203.0.113.5", port: 1000 }), from)
      .catch(() => {});
  });
  const servers = [one.name, two.name, slow.name];
  const result = await probe({ port: 0, servers, timeoutMs: 5000, every: true });
  assert.equal(result.udp, "open");
  assert.equal(result.symmetric, false);
  assert.deepEqual(result.servers.map(({ server }) => server), servers);
  assert(result.servers.every(({ rttMs }) => rttMs! > 0));
  assert(result.servers.at(-1)!.rttMs! >= 240);
});

Deno.test("probe tells blocked UDP from a single server that is away", async () => {
  using one = server(silent);
  using two = server(silent);
  for (
    const [servers, udp] of [[[one.name, two.name], "blocked"], [[one.name], "unknown"]] as const
  ) {
    const result = await probe({ port: 0, servers: [...servers], timeoutMs: 100 });
    assert.equal(result.udp, udp);
  }
});
