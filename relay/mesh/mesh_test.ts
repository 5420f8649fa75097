import assert from "node:assert/strict";
import {
  encodeSendPacket,
  FrameType,
  generatePrivateKey,
  PeerGoneReason,
  publicKeyOf,
} from "../derp/mod.ts";
import { loadMeshKey, Mesh, MeshError, parseMeshKey, parseMeshWith } from "./mod.ts";
import { MESH_KEY, PlainRelay, receive, TestClient, until } from "./testing.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const TIMES = { retryMs: 20 };

function join(relay: PlainRelay, peers: PlainRelay[], meshKey = MESH_KEY): Mesh {
  const { identity } = relay;
  const options = { identity, meshKey, plain: true, peers: peers.map(({ peer }) => peer) };
  return Mesh.start(relay.relay, options, TIMES);
}

const connected = (mesh: Mesh) => mesh.links().every(({ state }) => state === "connected");
const knows = (relay: PlainRelay, client: TestClient) =>
  relay.relay.registry.find(client.publicKey, 0)?.carrier !== undefined;

Deno.test("parseMeshKey takes 64 hex digits in any case and trims when there is space", () => {
  const hex = "Ab".repeat(32);
  assert.deepEqual(parseMeshKey(` ${hex}\n`), new Uint8Array(32).fill(0xab));
  for (const bad of ["", "ab", "ab".repeat(31), "ab".repeat(33), "xy".repeat(32), `0x${hex}`]) {
    assert.throws(
      () => parseMeshKey(bad),
      (error) => error instanceof MeshError && error.exitCode === 2,
    );
  }
});

Deno.test("loadMeshKey names the file and shows no key when it cannot be used", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "5a".repeat(32) + "\n");
    assert.deepEqual(await loadMeshKey(file), new Uint8Array(32).fill(0x5a));
    await Deno.writeTextFile(file, "5a".repeat(31));
    await assert.rejects(loadMeshKey(file), (error) => {
      assert(error instanceof MeshError);
      return error.message.includes(file) && !error.message.includes("5a5a");
    });
  } finally {
    await Deno.remove(file);
  }
  await assert.rejects(loadMeshKey(file), MeshError);
});

Deno.test("parseMeshWith reads hosts, ports and where to dial", () => {
  assert.deepEqual(parseMeshWith(["a.example, b.example:8443", "c/10.0.0.1", "d:1/[fd00::1]:2"]), [
    { host: "a.example", port: 443 },
    { host: "b.example", port: 8443 },
    { host: "c", port: 443, dial: { hostname: "10.0.0.1", port: 443 } },
    { host: "d", port: 1, dial: { hostname: "fd00::1", port: 2 } },
  ]);
  for (const bad of ["a/b/c", "/b", "a/", "a:x"]) {
    assert.throws(() => parseMeshWith([bad]), (error) => (error as MeshError).exitCode === 2, bad);
  }
});

Deno.test("Mesh forwards both ways between relays, and tells when a key goes", async () => {
  await using one = new PlainRelay();
  await using two = new PlainRelay();
  const [a, b] = [await one.client(), await two.client()];
  const meshes = [join(one, [two]), join(two, [one])];
  await until(() => knows(one, b) && knows(two, a), "keys are known on both sides");

  await a.send(encodeSendPacket(b.publicKey, bytes("there")));
  assert.deepEqual(await receive(b), { from: a.publicKey.toHex(), text: "there" });
  await b.send(encodeSendPacket(a.publicKey, bytes("back")));
  assert.deepEqual(await receive(a), { from: b.publicKey.toHex(), text: "back" });
  assert.equal(one.relay.counters.forwardedOut, 1);
  assert.equal(one.relay.counters.forwardedIn, 1);
  assert.equal(meshes[0]!.links()[0]!.keys, two.relay.registry.keys);

  b.close();
  const gone = await a.expect(FrameType.PeerGone);
  assert.deepEqual(gone.subarray(0, 32), b.publicKey);
  assert.equal(gone[32], PeerGoneReason.Disconnected);
  for (const mesh of meshes) await mesh.close();
  assert.deepEqual([one, two].flatMap(({ relay }) => relay.registry.check()), []);
});

Deno.test("Mesh keeps three relays linked when one is lost and comes back", async () => {
  await using one = new PlainRelay();
  await using two = new PlainRelay();
  const key = generatePrivateKey();
  let three = new PlainRelay({}, key);
  const { peer } = three;
  const all = () => [one, two, three];
  const meshes = [join(one, [two, three]), join(two, [one, three])];
  let third = join(three, [one, two]);
  try {
    const [a, b, c] = [await one.client(), await two.client(), await three.client()];
    await until(() => [...meshes, third].every(connected), "all linked");
    await until(() => knows(one, c) && knows(two, c) && knows(three, a), "keys are known");
    for (const [from, to] of [[a, b], [b, c], [c, a], [a, c]] as const) {
      await from.send(encodeSendPacket(to.publicKey, bytes("x")));
      assert.equal((await receive(to)).from, from.publicKey.toHex());
    }

    await third.close();
    await three[Symbol.asyncDispose]();
    await until(() => !knows(one, c) && !knows(two, c), "the lost relay's keys are forgotten");
    await a.send(encodeSendPacket(b.publicKey, bytes("still")));
    assert.equal((await receive(b)).text, "still");

    three = new PlainRelay({}, key, peer.port);
    third = join(three, [one, two]);
    const d = await three.client();
    await until(() => knows(one, d) && knows(two, d) && knows(three, a), "linked again");
    await a.send(encodeSendPacket(d.publicKey, bytes("again")));
    assert.equal((await receive(d)).text, "again");
  } finally {
    for (const mesh of [...meshes, third]) await mesh.close();
    await three[Symbol.asyncDispose]();
  }
  assert.deepEqual(all().flatMap(({ relay }) => relay.registry.check()), []);
});

Deno.test("Mesh stops for good when the peer is the relay itself", async () => {
  await using one = new PlainRelay();
  const mesh = join(one, [one]);
  await until(() => mesh.links()[0]!.state === "self", "it noticed");
  await mesh.close();
  assert.equal(mesh.links()[0]!.state, "self");
});

Deno.test("Mesh gets nothing from a relay with another mesh key, and says so", async () => {
  await using one = new PlainRelay();
  await using two = new PlainRelay();
  const b = await two.client();
  const mesh = join(one, [two], new Uint8Array(32).fill(1));
  await until(() => two.relay.counters.protocolErrors >= 2, "refused, and tried again");
  assert(!knows(one, b));
  assert.notEqual(mesh.links()[0]!.error, undefined);
  await mesh.close();
});

Deno.test("Mesh ends an attempt that takes too long, and one on which nothing comes", async () => {
  await using one = new PlainRelay();
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  void (async () => {
    for await (const conn of silent) conns.push(conn);
  })();
  await using two = new PlainRelay({ keepAliveMs: 1e6 });
  const mesh = Mesh.start(one.relay, {
    identity: one.identity,
    meshKey: MESH_KEY,
    plain: true,
    peers: [{ host: "127.0.0.1", port: silent.addr.port }, two.peer],
  }, { ...TIMES, connectMs: 50, readMs: 60 });
  const error = (i: number) => mesh.links()[i]!.error ?? "";
  await until(() => error(0).startsWith("no login within"), "the silent one is given up");
  await until(() => error(1).startsWith("nothing came for"), "the dead one is given up");
  await mesh.close();
  silent.close();
  for (const conn of conns) conn.close();
});

Deno.test("Mesh leaves the earliest forwarder in use when two relays have a key", async () => {
  await using one = new PlainRelay();
  await using two = new PlainRelay();
  await using three = new PlainRelay();
  const key = generatePrivateKey();
  const mesh = join(one, [two, three]);
  // The relay's own key is on both others.
  const own = () => one.relay.registry.find(one.identity.publicKey, 0)?.relays;
  await until(() => own() === 2, "linked");
  const before = { ...one.relay.counters };
  const b = await two.client(key);
  await until(() => knows(one, b), "known from the second");
  const c = await three.client(key);
  const peer = one.relay.registry.find(publicKeyOf(key), 0)!;
  await until(() => peer.relays === 2, "known from the third");
  const a = await one.client();
  await a.send(encodeSendPacket(b.publicKey, bytes("first")));
  assert.equal((await receive(b)).text, "first");
  b.close();
  await until(() => peer.relays === 1, "gone from the second");
  await a.send(encodeSendPacket(b.publicKey, bytes("then")));
  assert.equal((await receive(c)).text, "then");
  const { multiforwarderCreated, multiforwarderDeleted } = one.relay.counters;
  assert.equal(multiforwarderCreated - before.multiforwarderCreated, 1);
  assert.equal(multiforwarderDeleted - before.multiforwarderDeleted, 1);
  await mesh.close();
});

Deno.test("Mesh leaves no connection behind when a relay says nothing in the TLS handshake", async () => {
  await using one = new PlainRelay();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let [opened, ended] = [0, 0];
  const accepting = (async () => {
    for await (const conn of listener) {
      opened += 1;
      void conn.readable.pipeTo(new WritableStream()).catch(() => {}).then(() => ended += 1);
    }
  })();
  const dial = { hostname: "127.0.0.1", port: listener.addr.port };
  const peers = [{ host: "relay.example", port: 443, dial }];
  const options = { identity: one.identity, meshKey: MESH_KEY, peers };
  const mesh = Mesh.start(one.relay, options, { retryMs: 20, connectMs: 50 });
  await until(() => opened >= 3, "it tries again");
  assert.match(mesh.links()[0]!.error ?? "", /no login within 0.05 s/);
  await mesh.close();
  await until(() => ended === opened, "all are ended");
  listener.close();
  await accepting;
});

Deno.test("Mesh links with a relay's successor while the relay that restarts is still there", async () => {
  await using one = new PlainRelay();
  await using old = new PlainRelay();
  const { identity, relay } = one;
  const options = { identity, meshKey: MESH_KEY, plain: true, peers: [old.peer] };
  const mesh = Mesh.start(relay, options, { retryMs: 60_000 });
  const [a, b] = [await one.client(), await old.client()];
  await until(() => knows(one, b), "the key is known");

  old.stopAccepting();
  await using young = new PlainRelay({}, old.identity.privateKey, old.peer.port);
  old.relay.announceRestart({ reconnectMs: 0, smearMs: 0, tryMs: 1000 });
  const c = await young.client();
  await until(() => knows(one, c), "the successor is linked");
  for (const client of [b, c]) {
    await a.send(encodeSendPacket(client.publicKey, bytes("both")));
    assert.equal((await receive(client)).text, "both");
  }
  await old.relay.close();
  await until(() => !knows(one, b), "the old one is gone");
  await a.send(encodeSendPacket(c.publicKey, bytes("still")));
  assert.equal((await receive(c)).text, "still");
  assert.equal(mesh.links()[0]!.state, "connected");
  assert.equal(mesh.links()[0]!.sentPackets, 3);

  // One that says so all the time is dialed once, and then as seldom as ever.
  const count = young.relay.counters.accepts;
  for (let i = 0; i < 5; i++) {
    young.relay.announceRestart({ reconnectMs: 0, smearMs: 0, tryMs: 1000 });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(young.relay.counters.accepts, count);
  await mesh.close();
});
