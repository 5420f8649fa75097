import assert from "node:assert/strict";
import {
  encodeHealth,
  encodePeerGone,
  encodePing,
  encodeRecvPacket,
  encodeRestarting,
  FrameType,
  generatePrivateKey,
  keyToHex,
  publicKeyOf,
} from "../../relay/derp/mod.ts";
import { DEFAULT_LIMITS } from "../connection/mod.ts";
import { type ClientOptions, DerpClient, pauseAfter, type RelayStatus } from "./derp_client.ts";
import { join, makeCertificate, type StubBehaviour, StubRelay } from "../testing.ts";
import { underLoad } from "../../scripts/lab/support.ts";

const privateKey = generatePrivateKey();
const publicKey = publicKeyOf(privateKey);
const peer = publicKeyOf(generatePrivateKey());

/** A client that keeps what it is told. */
class Watched implements AsyncDisposable {
  readonly client: DerpClient;
  readonly packets: { key: Uint8Array; data: Uint8Array }[] = [];
  readonly gone: { key: Uint8Array; reason: number }[] = [];
  batches = 0;
  #changed = Promise.withResolvers<void>();

  constructor(relay: StubRelay | number, options: Partial<ClientOptions> & { host?: string } = {}) {
    const port = typeof relay === "number" ? relay : relay.port;
    const tls = typeof relay !== "number" && relay.behaviour.tls !== undefined;
    this.client = new DerpClient({
      relay: { host: options.host ?? "127.0.0.1", port, address: "127.0.0.1", plain: !tls },
      caCerts: [],
      privateKey,
      events: {
        packet: (buf, key, at, length) =>
          this.packets.push({ key: buf.slice(key, key + 32), data: buf.slice(at, at + length) }),
        batchEnd: () => {
          this.batches++;
          this.#tell();
          return undefined;
        },
        peerGone: (key, reason) => this.gone.push({ key, reason }),
      },
      onState: () => this.#tell(),
      ...options,
    });
    this.client.start();
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async until(condition: (status: RelayStatus) => boolean): Promise<RelayStatus> {
    while (!condition(this.client.status())) await this.#changed.promise;
    return this.client.status();
  }

  connected(): Promise<RelayStatus> {
    return this.until((s) => s.state === "connected");
  }

  send(data: Uint8Array, to = peer): void {
    this.client.send(to, data, data.length);
    this.client.flush();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.client.close();
  }
}

Deno.test("derp client logs in with the given key and says that the relay is home", async () => {
  await using relay = new StubRelay();
  await using watched = new Watched(relay);
  const status = await watched.connected();
  await relay.until(() => (relay.clients[0]?.frames.length ?? 0) > 0);
  assert.deepEqual(relay.clients[0]!.key, publicKey);
  assert.deepEqual(relay.clients[0]!.frames[0], {
    type: FrameType.NotePreferred,
    payload: Uint8Array.of(1),
  });
  assert.equal(status.serverKey, keyToHex(publicKeyOf(relay.privateKey)));
  assert.equal(status.error, undefined);
});

Deno.test("derp client sends packets as frames and hands in what comes", async () => {
  await using relay = new StubRelay();
  await using watched = new Watched(relay);
  await watched.connected();
  const sent = Array.from({ length: 100 }, (_, i) => new Uint8Array(32 + i * 13).fill(i));
  for (const data of sent) watched.client.send(publicKey, data, data.length);
  watched.client.flush();
  await watched.until(() => watched.packets.length === 100);
  sent.forEach((data, i) => assert.deepEqual(watched.packets[i], { key: publicKey, data }));
  assert(watched.batches > 0);
});

Deno.test("derp client delivers packets that come in one write with the login's end", async () => {
  const greeting = join(encodeRecvPacket(peer, Uint8Array.of(7)), encodePing(new Uint8Array(8)));
  await using relay = new StubRelay({ greeting, passive: true });
  await using watched = new Watched(relay);
  await watched.until(() => watched.packets.length === 1);
  await relay.until(() => relay.clients[0]!.frames.some((f) => f.type === FrameType.Pong));
  assert.deepEqual(watched.packets[0], { key: peer, data: Uint8Array.of(7) });
});

Deno.test("derp client never delivers a packet again when other frames follow", async () => {
  await using relay = new StubRelay();
  await using watched = new Watched(relay);
  await watched.connected();
  await relay.until(() => relay.clients.length === 1);
  await relay.clients[0]!.send(join(
    encodeRecvPacket(peer, Uint8Array.of(1, 2, 3)),
    encodeHealth("you are here twice"),
    encodePeerGone(peer, 1),
    encodeHealth(""),
    encodePeerGone(peer, 0),
    Uint8Array.of(0x06, 0, 0, 0, 0),
    Uint8Array.of(0x7f, 0, 0, 0, 3, 1, 2, 3),
    Uint8Array.of(0x08, 0, 0, 0, 1, 9),
    Uint8Array.of(0x13, 0, 0, 0, 1, 9),
    encodeRecvPacket(peer, Uint8Array.of(4)),
  ));
  await watched.until(() => watched.packets.length === 2);
  assert.deepEqual(watched.packets.map((p) => [...p.data]), [[1, 2, 3], [4]]);
  assert.deepEqual(watched.gone, [{ key: peer, reason: 1 }, { key: peer, reason: 0 }]);
});

Deno.test("derp client shows a relay's complaint without its control characters", async () => {
  await using relay = new StubRelay();
  await using watched = new Watched(relay);
  await watched.connected();
  await relay.until(() => relay.clients.length === 1);
  await relay.clients[0]!.send(encodeHealth("twice\u001b[31m" + "x".repeat(5000)));
  const { health } = await watched.until((s) => s.health !== undefined);
  assert(health!.startsWith("twice [31mxxx") && health!.length <= 200);
  await relay.clients[0]!.send(encodeHealth(""));
  await watched.until((s) => s.health === undefined);
});

Deno.test("derp client comes back when the relay is killed, and holds the newest packets", async () => {
  const first = new StubRelay();
  await using watched = new Watched(first);
  await watched.connected();
  const { port } = first;
  await first[Symbol.asyncDispose]();
  await watched.until((s) => s.state === "connecting");
  for (let i = 0; i < 50; i++) watched.send(Uint8Array.of(i));
  await using second = new StubRelay({ port });
  const began = performance.now();
  const status = await watched.connected();
  assert(performance.now() - began < 5000);
  await second.until(() => second.packets().length === 32);
  assert.deepEqual(second.packets().map((p) => p[0]), Array.from({ length: 32 }, (_, i) => 18 + i));
  assert.equal(watched.client.drops.not_connected, 18);
  assert.equal(status.reconnects, 1);
  assert.equal(status.previousServerKey, keyToHex(publicKeyOf(first.privateKey)));
  assert.equal(status.error, undefined);
});

Deno.test("derp client drops a held packet when it has become too old", async () => {
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr;
  probe.close();
  await using watched = new Watched(port);
  watched.send(Uint8Array.of(1));
  await watched.until((s) => s.error !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 2_050));
  watched.send(Uint8Array.of(2));
  await using relay = new StubRelay({ port });
  await watched.connected();
  await relay.until(() => relay.packets().length > 0);
  assert.deepEqual(relay.packets(), [Uint8Array.of(2)]);
  assert.equal(watched.client.drops.not_connected, 1);
});

Deno.test("derp client's pauses grow with the failures and end at 4 s", () => {
  assert.equal(pauseAfter(1, 0), 5);
  assert.equal(pauseAfter(1, 1), 15);
  assert.equal(pauseAfter(10, 0.5), 1000);
  for (const n of [20, 23, 1000, 1e9]) {
    assert(pauseAfter(n, 0) >= 2000 && pauseAfter(n, 0.999) <= 4000, `${n}`);
  }
});

Deno.test("derp client notices a relay that falls silent", async () => {
  await using relay = new StubRelay({ passive: true });
  const limits = { ...DEFAULT_LIMITS, quietMs: 40, pongMs: 60, pingIntervalMs: 1e6, tickMs: 10 };
  await using watched = new Watched(relay, { limits });
  await watched.connected();
  const { error } = await watched.until((s) => s.error !== undefined);
  assert.match(error!, /fell silent: no answer to a ping/);
});

Deno.test("derp client gives up when the relay takes no data, and can send again", async () => {
  const tls = await makeCertificate("relay.test");
  const limits = { ...DEFAULT_LIMITS, writeMs: 60, tickMs: 10 };
  for (const behaviour of [{ deaf: true }, { deaf: true, tls }] as StubBehaviour[]) {
    await using relay = new StubRelay(behaviour);
    const caCerts = [tls.ca];
    await using watched = new Watched(relay, { limits, host: "relay.test", caCerts });
    await watched.connected();
    const data = new Uint8Array(60_000);
    let error: string | undefined;
    for (let i = 0; i < 20_000 && error === undefined; i++) {
      watched.send(data);
      if (i % 4 === 0) await new Promise((resolve) => setTimeout(resolve));
      error = watched.client.status().error;
    }
    assert.match(error ?? "", /takes no data/);
    const { queue_full, queue_age } = watched.client.drops;
    assert(queue_full > 0 && queue_age === 0);
    behaviour.deaf = false;
    await watched.connected();
    assert(watched.client.drops.write_error > 0);
    for (let i = 0; i < 3; i++) {
      watched.send(Uint8Array.of(i));
      await relay.until(() => relay.packets().at(-1)?.[0] === i);
    }
  }
});

Deno.test("derp client drops what waited too long behind a slow write, and nothing else", async () => {
  await using relay = new StubRelay({ deaf: true });
  await using watched = new Watched(relay);
  await watched.connected();
  // Long enough that the connection is no new one.
  await new Promise((resolve) => setTimeout(resolve, 520));
  const data = new Uint8Array(60_000);
  // Until the way to the relay is full and packets gather.
  while (watched.client.drops.queue_full === 0) {
    watched.send(data);
    await new Promise((resolve) => setTimeout(resolve));
  }
  watched.send(Uint8Array.of(1));
  await new Promise((resolve) => setTimeout(resolve, 520));
  watched.send(Uint8Array.of(2));
  relay.listen();
  await relay.until(() => relay.packets().at(-1)?.[0] === 2);
  assert(watched.client.drops.queue_age > 0);
  assert(!relay.packets().some((p) => p.length === 1 && p[0] === 1));
  const before = watched.client.drops.queue_age;
  await new Promise((resolve) => setTimeout(resolve, 520));
  watched.send(Uint8Array.of(3));
  await relay.until(() => relay.packets().at(-1)?.[0] === 3);
  assert.equal(watched.client.drops.queue_age, before);
});

Deno.test("derp client measures the round trip", async () => {
  await using relay = new StubRelay();
  const limits = { ...DEFAULT_LIMITS, tickMs: 5 };
  await using watched = new Watched(relay, { limits });
  await watched.connected();
  while (watched.client.status().rttMs === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert(watched.client.status().rttMs! < 1000);
});

Deno.test("derp client keeps to the rate the relay names", async () => {
  const info = { version: 2, tokenBucketBytesPerSecond: 10_000, tokenBucketBytesBurst: 5_000 };
  await using relay = new StubRelay({ info });
  await using watched = new Watched(relay);
  await watched.connected();
  for (let i = 0; i < 20; i++) watched.send(new Uint8Array(963));
  await relay.until(() => relay.packets().length >= 5);
  assert(watched.client.drops.rate_limited >= 14, `${watched.client.drops.rate_limited}`);
});

Deno.test("derp client follows the advice of a restarting relay", async () => {
  await using relay = new StubRelay();
  await using watched = new Watched(relay);
  await watched.connected();
  await relay.until(() => relay.clients.length === 1);
  const began = performance.now();
  await relay.clients[0]!.send(encodeRestarting(150, 5000));
  const { error } = await watched.until((s) => s.state !== "connected");
  assert.match(error!, /restarts/);
  assert(performance.now() - began >= 145);
  await watched.connected();
  assert.equal(relay.logins, 2);
  assert(performance.now() - began < underLoad(2000));
});

Deno.test("derp client that was retired is not connected any more when the relay ends it", async () => {
  await using relay = new StubRelay();
  await using watched = new Watched(relay);
  await watched.connected();
  watched.client.retire();
  watched.send(new Uint8Array(100));
  relay.clients[0]!.conn.close();
  await watched.until((status) => status.state === "closed");
  // The proxy flushes all that it knows, the retired ones among them.
  watched.send(new Uint8Array(100));
  assert.equal(watched.client.connected, false);
});

Deno.test("derp client says why when there is no connection", async () => {
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr;
  probe.close();
  const good = await makeCertificate("relay.test");
  const expired = await makeCertificate("relay.test", { expired: true });
  const page = "HTTP/1.1 404 Not\u0007 Found\r\nContent-Length: 0\r\n\r\n";
  const limits = { ...DEFAULT_LIMITS, connectMs: 100 };
  const table: [string, () => StubRelay | number, object, RegExp][] = [
    ["dns", () => 443, { relay: { host: "nowhere.invalid", port: 443 } }, /does not resolve.*DNS/],
    ["refused", () => port, {}, /refused; check that the relay runs/],
    [
      "http",
      () => new StubRelay({ httpAnswer: page }),
      {},
      /answered "HTTP\/1.1 404 Not {2}Found"/,
    ],
    ["login", () => new StubRelay({ closeAtLogin: true }), {}, /closed the connection; it may not/],
    ["mute", () => new StubRelay({ mute: true }), { limits }, /not done within 0.1 s/],
    ["junk", () => new StubRelay({ httpAnswer: "x".repeat(17_000) }), {}, /head is longer/],
    [
      "unknown authority",
      () => new StubRelay({ tls: good }),
      { host: "relay.test" },
      /Cannot trust relay relay\.test:\d+: .* known authority; give .* --relay-ca/,
    ],
    [
      "wrong name",
      () => new StubRelay({ tls: good }),
      { host: "other.test", caCerts: [good.ca] },
      /Cannot trust relay other\.test:\d+: .* not for the name "other\.test"/,
    ],
    [
      "expired",
      () => new StubRelay({ tls: expired }),
      { host: "relay.test", caCerts: [expired.ca] },
      /relay\.test:\d+: its certificate is expired/,
    ],
    [
      "no TLS there",
      () => new StubRelay({ httpAnswer: page }),
      { tls: true },
      /Cannot speak TLS with relay 127\.0\.0\.1:\d+/,
    ],
  ];
  for (const [name, start, options, pattern] of table) {
    const relay = start();
    const at = typeof relay === "number" ? relay : relay.port;
    const more = "tls" in options
      ? { relay: { host: "127.0.0.1", port: at, plain: false } }
      : options;
    const watched = new Watched(relay, more);
    const { error } = await watched.until((s) => s.error !== undefined);
    assert.match(error!, pattern, name);
    assert(!/\n/.test(error!));
    await watched.client.close();
    assert.equal(watched.client.status().state, "closed");
    if (typeof relay !== "number") await relay[Symbol.asyncDispose]();
  }
});

Deno.test("derp client speaks TLS with a relay whose authority was given", async () => {
  const tls = await makeCertificate("relay.test");
  await using relay = new StubRelay({ tls });
  await using watched = new Watched(relay, { host: "relay.test", caCerts: [tls.ca] });
  await watched.connected();
  const sent = Array.from({ length: 60 }, (_, i) => new Uint8Array(1312).fill(i));
  for (const data of sent) watched.client.send(publicKey, data, data.length);
  watched.client.flush();
  await watched.until(() => watched.packets.length === 60);
  sent.forEach((data, i) => assert.deepEqual(watched.packets[i]!.data, data));
});

Deno.test("derp client ends a connection whose frame is longer than the protocol allows", async () => {
  await using relay = new StubRelay();
  await using watched = new Watched(relay);
  await watched.connected();
  await relay.until(() => relay.clients.length === 1);
  const good = encodeRecvPacket(peer, Uint8Array.of(8));
  const batches = watched.batches;
  await relay.clients[0]!.send(join(good, Uint8Array.of(5, 0, 0x10, 0, 1)));
  const { error } = await watched.until((s) => s.error !== undefined);
  assert.match(error!, /more than 1048576/);
  // What came before it in the same read is not left lying until another connection.
  assert.equal(watched.packets.length, 1);
  assert.equal(watched.batches, batches + 1);
});

Deno.test("derp client closes at any time", async () => {
  await using relay = new StubRelay({ mute: true });
  const during = new Watched(relay);
  await during.client.close();
  const refused = new Watched(1);
  await refused.until((s) => s.error !== undefined);
  await refused.client.close();
  await refused.client.close();
  assert.equal(refused.client.status().state, "closed");
});
