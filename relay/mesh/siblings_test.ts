import assert from "node:assert/strict";
import {
  encodeForwardPacket,
  encodeFrame,
  encodePing,
  encodeSendPacket,
  encodeWatchConns,
  FrameType,
  generatePrivateKey,
} from "../derp/mod.ts";
import { SiblingFrame } from "../server/mod.ts";
import { liveSiblings, MeshError, Siblings } from "./mod.ts";
import { MESH_KEY, PlainRelay, receive, TestClient, until } from "./testing.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Workers of one relay: one key, one directory. */
class Workers implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "nexd-siblings-" });
  readonly key = generatePrivateKey();
  readonly relays: PlainRelay[] = [];
  readonly siblings: Siblings[] = [];

  async add(name: string): Promise<PlainRelay> {
    const relay = new PlainRelay({}, this.key);
    this.relays.push(relay);
    this.siblings.push(await Siblings.join(relay.relay, { directory: this.directory, name }));
    const all = () =>
      this.siblings.every((one) =>
        one.links().filter(({ state }) => state === "connected").length === this.siblings.length - 1
      ) && this.relays.every(({ relay }) => relay.region.watchers.size >= this.relays.length - 1);
    await until(all, "all workers are linked");
    return relay;
  }

  check(): string[] {
    return this.relays.flatMap(({ relay }) => relay.registry.check());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.siblings) await one.close();
    for (const relay of this.relays) await relay[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

const known = (relay: PlainRelay, client: TestClient) =>
  relay.relay.registry.find(client.publicKey, 0)?.known === true;
const elsewhere = (relay: PlainRelay, client: TestClient) =>
  relay.relay.registry.find(client.publicKey, 0)?.carrier?.sibling === true;

async function sync(client: TestClient): Promise<void> {
  await client.send(encodePing(new Uint8Array(8)));
  while ((await client.next())?.type !== FrameType.Pong);
}

Deno.test("Siblings deliver packets between workers in whole runs", async () => {
  await using workers = new Workers();
  const [one, two] = [await workers.add("one"), await workers.add("two")];
  const [a, b] = [await one.client(), await two.client()];
  await until(() => elsewhere(one, b) && elsewhere(two, a), "keys are known");
  const frames = Array.from(
    { length: 200 },
    (_, i) => encodeSendPacket(b.publicKey, bytes(`${i}|`.padEnd(1 + i * 7 % 1300, "x"))),
  );
  const stream = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  frames.reduce((at, frame) => (stream.set(frame, at), at + frame.length), 0);
  await a.send(stream);
  for (let i = 0; i < 200; i++) {
    const { from, text } = await receive(b);
    assert.equal(from, a.publicKey.toHex());
    assert.equal(text, `${i}|`.padEnd(1 + i * 7 % 1300, "x"));
  }
  await b.send(encodeSendPacket(a.publicKey, new Uint8Array(65536)));
  assert.equal((await receive(a)).text.length, 65536);
  assert.equal(one.relay.counters.siblingOut, 200);
  assert.equal(two.relay.counters.siblingIn, 200);
  assert.equal(one.relay.counters.forwardedOut, 0, "the mesh has nothing to do with it");
  assert.equal(workers.siblings[0]!.links()[0]!.sentPackets, 200);
  assert.deepEqual(workers.check(), []);
});

Deno.test("Siblings deliver the first packet to whoever was let in a moment before", async () => {
  await using workers = new Workers();
  const [one, two] = [await workers.add("one"), await workers.add("two")];
  const a = await one.client();
  for (let i = 0; i < 50; i++) {
    const b = await two.client();
    assert(elsewhere(one, b), "the other worker knows");
    await a.send(encodeSendPacket(b.publicKey, bytes(`${i}`)));
    assert.deepEqual(await receive(b), { from: a.publicKey.toHex(), text: `${i}` });
    // It answers, as does whoever is there already.
    await b.send(encodeSendPacket(a.publicKey, bytes(`to ${i}`)));
    assert.equal((await receive(a)).text, `to ${i}`);
  }
  assert.equal(one.relay.counters.droppedTotal() + two.relay.counters.droppedTotal(), 0);
});

Deno.test("Siblings know each other's clients when a worker has joined", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "nexd-siblings-" });
  const key = generatePrivateKey();
  await using one = new PlainRelay({}, key);
  await using two = new PlainRelay({}, key);
  const first = await Siblings.join(one.relay, { directory, name: "first" });
  // More than one write takes.
  const there = await Promise.all(Array.from({ length: 800 }, () => one.client()));
  const second = await Siblings.join(two.relay, { directory, name: "second" });
  try {
    assert(there.every((client) => elsewhere(two, client)), "all are known");
    assert(one.relay.region.links.size === 1 && two.relay.region.watchers.size === 1);
    const here = await two.client();
    assert(elsewhere(one, here), "and who comes now");
  } finally {
    await first.close();
    await second.close();
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Siblings lose no packet when a key moves to another worker under traffic", async () => {
  await using workers = new Workers();
  const [one, two] = [await workers.add("one"), await workers.add("two")];
  const a = await one.client();
  const key = generatePrivateKey();
  const old = await one.client(key);
  let sent = 0;
  let stop = false;
  const flood = (async () => {
    while (!stop) {
      for (let i = 0; i < 20; i++) {
        await a.send(encodeSendPacket(old.publicKey, bytes(`${sent++}`)));
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  const seen = new Set<number>();
  const reading = async (client: TestClient) => {
    for (;;) {
      const frame = await client.next();
      if (frame === undefined) return;
      if (frame.type === FrameType.RecvPacket) {
        seen.add(Number(new TextDecoder().decode(frame.payload.subarray(32))));
      }
    }
  };
  const readingOld = reading(old);
  await until(() => seen.size > 50, "traffic flows");
  const fresh = await two.client(key);
  const first = Number((await receive(fresh)).text);
  seen.add(first);
  const readingFresh = reading(fresh);
  await until(() => seen.size >= first + 1, "the old connection got all before");
  old.close();
  await until(() => seen.size > first + 100, "traffic flows to the new one");
  stop = true;
  await flood;
  await until(() => seen.size === sent, "nothing is lost");
  fresh.close();
  await Promise.all([readingOld, readingFresh]);
  assert.deepEqual(workers.check(), []);
});

Deno.test("Siblings send to whoever of a key's connections wrote last, on any worker", async () => {
  await using workers = new Workers();
  const [one, two] = [await workers.add("one"), await workers.add("two")];
  const a = await one.client();
  const key = generatePrivateKey();
  const here = await one.client(key);
  await new Promise((resolve) => setTimeout(resolve, 2)); // Not the same millisecond.
  const there = await two.client(key);
  const packet = (text: string) => a.send(encodeSendPacket(here.publicKey, bytes(text)));
  await until(() => elsewhere(one, here), "the newcomer is active");
  await packet("to the newcomer");
  assert.equal((await receive(there)).text, "to the newcomer");
  await sync(here);
  await packet("to who spoke");
  assert.equal((await receive(here)).text, "to who spoke");
  await until(() => elsewhere(two, here), "the other worker knows");
  await sync(there);
  await until(() => elsewhere(one, here), "and back");
  await packet("and back");
  assert.equal((await receive(there)).text, "and back");
  there.close();
  await until(() => !elsewhere(one, here), "what is left is active");
  await packet("the last");
  assert.equal((await receive(here)).text, "the last");
});

Deno.test("Siblings forget a worker's keys when it ends, and tell who heard from them", async () => {
  await using workers = new Workers();
  const [one, two] = [await workers.add("one"), await workers.add("two")];
  const [a, b] = [await one.client(), await two.client()];
  await until(() => elsewhere(two, a), "known");
  await b.send(encodeSendPacket(a.publicKey, bytes("x")));
  await receive(a);
  await workers.siblings[1]!.close();
  const gone = await a.expect(FrameType.PeerGone);
  assert.deepEqual(gone.subarray(0, 32), b.publicKey);
  assert(!known(one, b));
});

/** A relay of the region, watching one worker. */
async function watcher(relay: PlainRelay): Promise<TestClient> {
  const client = await relay.client(undefined, MESH_KEY);
  await client.send(encodeWatchConns());
  return client;
}

/** The next presence frame about a key. */
async function presence(watcher: TestClient, key: Uint8Array): Promise<string> {
  for (;;) {
    const frame = await watcher.next();
    if (frame === undefined) return "end";
    const present = frame.type === FrameType.PeerPresent;
    if (!present && frame.type !== FrameType.PeerGone) continue;
    if (frame.payload.subarray(0, 32).toHex() !== key.toHex()) continue;
    return present ? "present" : "gone";
  }
}

Deno.test("a watching relay sees every worker's keys, and no gone when one moves", async () => {
  await using workers = new Workers();
  const [one, two] = [await workers.add("one"), await workers.add("two")];
  const key = generatePrivateKey();
  const old = await two.client(key);
  await until(() => elsewhere(one, old), "known");
  const relay = await watcher(one);
  assert.equal(await presence(relay, old.publicKey), "present", "in the flood");
  let last = old;
  for (let round = 0; round < 5; round++) {
    // To and fro; the old one closes before the other worker can have told of the new one.
    const fresh = await (round % 2 === 0 ? one : two).client(key);
    last.close();
    last = fresh;
    assert.equal(await presence(relay, old.publicKey), "present", `round ${round}`);
  }
  last.close();
  assert.equal(await presence(relay, old.publicKey), "gone");
});

Deno.test("a forwarded packet goes one more hop to the worker that has the key", async () => {
  await using workers = new Workers();
  const [one, two] = [await workers.add("one"), await workers.add("two")];
  const b = await two.client();
  await until(() => elsewhere(one, b), "known");
  const relay = await one.client(undefined, MESH_KEY);
  const source = new Uint8Array(32).fill(7);
  await relay.send(encodeForwardPacket(source, b.publicKey, bytes("from afar")));
  assert.deepEqual(await receive(b), { from: source.toHex(), text: "from afar" });
  assert.deepEqual([one.relay.counters.forwardedIn, one.relay.counters.siblingOut], [1, 1]);
  assert.equal(two.relay.counters.siblingIn, 1);
});

Deno.test("liveSiblings names the workers that answer, and join removes what a dead one left", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "nexd-siblings-" });
  try {
    assert.deepEqual(await liveSiblings(`${directory}/none`), []);
    // A socket nobody listens on: as a killed worker leaves it.
    const dead = `${directory}/dead.sock`;
    const code = `Deno.listen({ transport: "unix", path: ${JSON.stringify(dead)} });
      process.kill(process.pid, "SIGKILL");`;
    await new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output();
    assert((await Deno.lstat(dead)).isSocket);
    await using relay = new PlainRelay();
    const siblings = await Siblings.join(relay.relay, { directory });
    assert.match(siblings.name, new RegExp(`^${Deno.pid}-[0-9a-f]{8}$`));
    assert.deepEqual(await liveSiblings(directory), [siblings.name]);
    const sockets = () => [...Deno.readDirSync(directory)].map(({ name }) => name);
    await until(() => !sockets().includes("dead.sock"), "the dead one's socket is removed");
    assert.equal((await Deno.lstat(directory)).mode! & 0o777, 0o700);
    await siblings.close();
    assert.deepEqual(await liveSiblings(directory), []);
    assert.deepEqual([...Deno.readDirSync(directory)], []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Siblings find each other though the directory was removed meanwhile", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "nexd-siblings-" });
  await using one = new PlainRelay();
  await using two = new PlainRelay();
  const o = { directory, lookMs: 10 };
  const first = await Siblings.join(one.relay, { ...o, name: "first" });
  await Deno.remove(directory, { recursive: true });
  const second = await Siblings.join(two.relay, { ...o, name: "second" });
  try {
    const linked = () =>
      [first, second].every((one) => one.links().some(({ state }) => state === "connected"));
    await until(linked, "they are linked");
    assert.deepEqual(await liveSiblings(directory), ["first", "second"]);
    assert.equal((await Deno.lstat(directory)).mode! & 0o777, 0o700);
  } finally {
    await first.close();
    await second.close();
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Siblings come back to a worker that did not answer for a while", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "nexd-siblings-" });
  await using relay = new PlainRelay();
  const path = `${directory}/stuck.sock`;
  const hello = encodeFrame(SiblingFrame.Hello, bytes("stuck"));
  using stuck = Deno.listen({ transport: "unix", path });
  let answers = false;
  let refused = 0;
  let linked: Deno.Conn | undefined;
  const serving = (async () => {
    for await (const conn of stuck) {
      if (answers) {
        await conn.write(hello);
        linked = conn;
      } else {
        refused += 1;
        conn.close();
      }
    }
  })();
  const siblings = await Siblings.join(relay.relay, { directory, lookMs: 10 });
  try {
    await until(() => refused > 3, "it was given up once");
    answers = true;
    await until(() => siblings.links().some(({ state }) => state === "connected"), "linked");
  } finally {
    await siblings.close();
    stuck.close();
    await serving;
    linked?.close();
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("join refuses a name or directory that no socket can have", async () => {
  await using relay = new PlainRelay();
  const bad = [
    { directory: "/tmp", name: "../x" },
    { directory: `/tmp/${"x".repeat(200)}` },
    { directory: "/dev/null/x" },
  ];
  for (const o of bad) await assert.rejects(Siblings.join(relay.relay, o), MeshError);
});
