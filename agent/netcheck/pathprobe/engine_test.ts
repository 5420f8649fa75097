import assert from "node:assert/strict";
import { generatePrivateKey, publicKeyOf } from "../../../relay/derp/mod.ts";
import { ProbeEngine } from "./engine.ts";
import { PROBE_LENGTH } from "./message.ts";
import type { PathTarget } from "./peer.ts";

/** A packet on its way: who sent it, from which outside address, where to. */
interface Packet {
  from: Host;
  to: string;
  bytes: Uint8Array;
}

/** A host behind a NAT that lets in only who was sent to before, unless it is open. */
class Host {
  readonly privateKey = generatePrivateKey();
  readonly publicKey = publicKeyOf(this.privateKey);
  readonly key = this.publicKey.toBase64();
  readonly engine: ProbeEngine;
  readonly sentTo = new Set<string>();
  sent: Packet[] = [];
  news = 0;
  open = false;
  deaf = false;

  constructor(readonly world: World, readonly endpoint: string, direct = true) {
    this.engine = new ProbeEngine({
      privateKey: this.privateKey,
      publicKey: this.publicKey,
      direct,
      acceptable: (endpoint) => !endpoint.startsWith("127."),
      send: (to, bytes) => {
        this.sent.push({ from: this, to, bytes });
        this.sentTo.add(to);
        world.carry({ from: this, to, bytes });
      },
      onNews: () => this.news++,
      // A clock goes on between two looks.
      now: () => world.now += 1e-6,
    });
  }

  follow(peer: Host, more: Partial<PathTarget> = {}): void {
    this.engine.follow([{
      publicKey: peer.key,
      search: [peer.endpoint],
      relay: RELAY,
      busy: false,
      ...more,
    }]);
  }
}

const RELAY = "127.0.0.3:9002";

class World {
  now = 1_000_000;
  hosts: Host[] = [];
  relayWorks = true;
  readonly #due: { at: number; deliver: () => void }[] = [];

  pair(): [Host, Host] {
    this.hosts = [new Host(this, "203.0.113.1:1"), new Host(this, "203.0.113.2:2")];
    return this.hosts as [Host, Host];
  }

  carry({ from, to, bytes }: Packet): void {
    const [a, b] = this.hosts, other = from === a ? b! : a!;
    const relayed = to === RELAY;
    this.#due.push({
      at: this.now + (relayed ? 20 : 10),
      deliver: () => {
        if (relayed ? !this.relayWorks : other.deaf || to !== other.endpoint) return;
        if (!relayed && !other.open && !other.sentTo.has(from.endpoint)) return;
        other.engine.receive(bytes, relayed ? RELAY : from.endpoint);
      },
    });
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 10) {
      for (let i = 0; i < this.#due.length;) {
        if (this.#due[i]!.at > this.now) i++;
        else this.#due.splice(i, 1)[0]!.deliver();
      }
      for (const { engine } of this.hosts) engine.tick();
    }
  }
}

Deno.test("a search of one side opens both NATs, because it calls the peer through the relay", () => {
  const world = new World(), [a, b] = world.pair();
  b.follow(a);
  b.engine.tick();
  world.run(30_000); // its first search is long over
  a.follow(b);
  world.run(400);
  for (const [one, other] of [[a, b], [b, a]] as const) {
    const { answered, speaks } = one.engine.probed(other.key)!;
    assert(speaks);
    assert.equal(Math.round(answered.get(other.endpoint)!.rttMs), 20);
    const relayed = answered.get(RELAY);
    assert.equal(relayed && Math.round(relayed.rttMs), one === a ? 40 : undefined);
    assert(one.news > 0);
  }
});

Deno.test("an endpoint that answers nothing is silent when the peer answers elsewhere, and only then", () => {
  for (const relayWorks of [true, false]) {
    const world = new World(), [a, b] = world.pair();
    world.relayWorks = relayWorks;
    b.deaf = true;
    a.follow(b);
    b.follow(a, { search: [] });
    world.run(2_000);
    const probed = a.engine.probed(b.key);
    assert.equal(probed?.silent.has(b.endpoint), relayWorks ? true : undefined);
  }
});

Deno.test("a path that dies under traffic is silent within 2.5 s, and a path that works never is", () => {
  const world = new World(), [a, b] = world.pair();
  a.follow(b);
  b.follow(a);
  world.run(1_000);
  a.follow(b, { search: [], watch: b.endpoint, busy: true });
  b.follow(a, { search: [], watch: a.endpoint, busy: true });
  for (let i = 0; i < 100; i++) {
    world.run(100);
    assert.equal(a.engine.probed(b.key)!.silent.size, 0);
  }
  const pings = a.sent.length;
  world.run(10_000);
  assert(a.sent.length - pings <= 25, "one question and one answer a second");
  a.deaf = b.deaf = true;
  const died = world.now;
  while (a.engine.probed(b.key)!.silent.size === 0) {
    assert(world.now - died < 2_500);
    world.run(50);
  }
  a.deaf = b.deaf = false;
  world.run(1_500);
  assert.equal(a.engine.probed(b.key)!.silent.size, 0);
});

Deno.test("searches in vain become rare, and a changed endpoint is asked at once", () => {
  const world = new World(), [a, b] = world.pair();
  b.deaf = true;
  a.follow(b);
  world.run(600_000);
  const first = a.sent.length;
  world.run(600_000);
  assert(a.sent.length - first < 30, `${a.sent.length - first} packets in ten minutes`);
  const before = a.sent.length;
  a.follow(b, { search: ["203.0.113.2:3"] });
  world.run(100);
  assert(a.sent.slice(before).some(({ to }) => to === "203.0.113.2:3"));
});

Deno.test("an address that the peer shows by itself counts once it has answered", () => {
  const world = new World(), [a, b] = world.pair();
  b.open = true;
  a.follow(b);
  // What is published of a is wrong, as behind a symmetric NAT.
  b.follow(a, { search: ["203.0.113.1:9"] });
  world.run(1_000);
  assert(b.engine.probed(a.key)!.answered.has(a.endpoint));
  assert(a.engine.probed(b.key)!.answered.has(b.endpoint));
});

Deno.test("an answer is no longer than its question, and a question is answered once", () => {
  const world = new World(), [a, b] = world.pair();
  a.follow(b);
  b.follow(a, { search: [] });
  a.engine.tick();
  const ping = a.sent.find(({ to }) => to === b.endpoint)!.bytes;
  assert.equal(ping.length, PROBE_LENGTH);
  const before = b.sent.length;
  for (let i = 0; i < 10; i++) b.engine.receive(ping, "198.51.100.1:1");
  assert.equal(b.sent.length - before, 1);
  assert.deepEqual([b.sent.at(-1)!.to, b.sent.at(-1)!.bytes.length], [
    "198.51.100.1:1",
    PROBE_LENGTH,
  ]);
  // An answer from elsewhere than where was asked proves nothing.
  a.engine.receive(b.sent.at(-1)!.bytes, "198.51.100.1:1");
  assert.equal(a.engine.probed(b.key), undefined);
});

Deno.test("nobody is answered who has no key of ours, asks from a forbidden address, or asks too much", () => {
  const world = new World(), [a, b] = world.pair();
  const stranger = new Host(world, "198.51.100.9:9");
  a.follow(b);
  b.follow(a, { search: [] });
  stranger.follow(b);
  stranger.engine.tick();
  a.engine.tick();
  const strange = stranger.sent.find(({ to }) => to === b.endpoint)!.bytes;
  const good = a.sent.find(({ to }) => to === b.endpoint)!.bytes;
  const count = () => b.sent.length;
  const nothing = (bytes: Uint8Array, from = a.endpoint) => {
    const before = count();
    b.engine.receive(bytes, from);
    assert.equal(count(), before);
  };
  nothing(strange);
  nothing(new Uint8Array([...good.subarray(0, 16), ...strange.subarray(16)]));
  for (let i = 0; i < PROBE_LENGTH; i++) nothing(good.with(i, good[i]! ^ 1));
  nothing(good, "127.0.0.1:1");
  nothing(good.subarray(0, PROBE_LENGTH - 1));
  nothing(new Uint8Array([...good, 0]));
  // a's own question, sent back to it: the two directions have keys of their own.
  const own = a.sent.length;
  a.engine.receive(good, b.endpoint);
  assert.equal(a.sent.length, own);
  // A flood of good questions.
  world.now += 60_000;
  const before = count();
  for (let i = 0; i < 500; i++) {
    const other = new World();
    other.now = world.now;
    a.sent = [];
    a.engine.moved();
    a.engine.tick();
    for (const { bytes } of a.sent) b.engine.receive(bytes, a.endpoint);
  }
  assert(count() - before <= 20, `${count() - before} answers`);
});

Deno.test("a host that uses relays only answers through the relay and nowhere else", () => {
  const world = new World();
  const a = new Host(world, "203.0.113.1:1"), b = new Host(world, "203.0.113.2:2", false);
  world.hosts = [a, b];
  b.open = true;
  a.follow(b);
  b.follow(a, { search: [] });
  world.run(3_000);
  const { answered, silent } = a.engine.probed(b.key)!;
  assert.deepEqual([...answered.keys()], [RELAY]);
  assert.deepEqual([...silent.keys()], [b.endpoint]);
});

Deno.test("a thousand peers are searched little by little, and what is forgotten costs nothing", () => {
  const world = new World(), host = new Host(world, "203.0.113.1:1");
  world.hosts = [host, new Host(world, "203.0.113.2:2")];
  const targets = Array.from({ length: 1000 }, (_, i) => ({
    publicKey: new Uint8Array(32).fill(9).with(0, i & 0xff).with(1, i >> 8).toBase64(),
    search: [`198.51.100.1:${i + 1}`],
    relay: `127.0.1.1:${i + 1}`,
    busy: false,
  }));
  host.engine.follow(targets);
  world.run(1_000);
  const first = new Set(host.sent.map(({ to }) => to)).size;
  assert(first > 20 && first < 250, `${first} endpoints in the first second`);
  host.engine.follow([]);
  const before = host.sent.length;
  world.run(10_000);
  assert.equal(host.sent.length, before);
  assert.equal(host.engine.tick(), Infinity);
});

Deno.test("a crowd that was searched in vain is woken up for when one of it has its turn, and all have one", () => {
  const world = new World(), host = new Host(world, "203.0.113.1:1");
  host.engine.follow(Array.from({ length: 1000 }, (_, i) => ({
    publicKey: new Uint8Array(32).fill(9).with(0, i & 0xff).with(1, i >> 8).toBase64(),
    search: [`198.51.100.1:${i + 1}`],
    relay: `127.0.1.1:${i + 1}`,
    busy: false,
  })));
  let wakes = 0;
  const live = (ms: number) => {
    for (const end = world.now + ms; world.now < end; wakes++) {
      world.now += Math.max(10, Math.min(1_000, host.engine.tick()));
    }
  };
  live(60_000); // each was searched once
  host.sent = [];
  wakes = 0;
  live(60_000);
  // Twelve turns of five steps each, and a look each second.
  assert(wakes < 130, `${wakes} wakes in a minute`);
  live(5_000_000);
  const searched = new Set(host.sent.map(({ to }) => to).filter((to) => !to.startsWith("127.")));
  assert.equal(searched.size, 1000);
});

Deno.test("a relay that is the only way is silent after three seconds, also for who uses relays only", () => {
  for (const direct of [true, false]) {
    const world = new World();
    const a = new Host(world, "203.0.113.1:1", direct), relay = new Host(world, "203.0.113.2:2");
    world.hosts = [a, relay];
    world.relayWorks = false;
    relay.open = true;
    relay.follow(a, { search: [] });
    a.follow(relay, { search: [], watch: relay.endpoint, alone: true, busy: true });
    world.run(5_000);
    assert(a.engine.probed(relay.key)!.answered.has(relay.endpoint));
    assert.equal(a.engine.probed(relay.key)!.silent.size, 0);
    relay.deaf = true;
    const died = world.now, news = a.news;
    while (a.engine.probed(relay.key)!.silent.size === 0) {
      assert(world.now - died < 4_500);
      world.run(50);
    }
    assert(world.now - died > 2_800, `${world.now - died} ms`);
    assert(a.news > news);
    relay.deaf = false;
    world.run(1_500);
    assert.equal(a.engine.probed(relay.key)!.silent.size, 0);
    assert.equal(relay.sent.filter(({ bytes }) => bytes[5] === 1).length, 0, "it asks nobody");
  }
});

Deno.test("a relay that does not know probes is asked seldom and never called silent", () => {
  const world = new World();
  const a = new Host(world, "203.0.113.1:1"), relay = new Host(world, "203.0.113.2:2");
  world.hosts = [a, relay];
  relay.deaf = true;
  a.follow(relay, { search: [], watch: relay.endpoint, alone: true, busy: true });
  for (let second = 0; second < 120; second++) {
    world.run(1_000);
    assert.equal(a.engine.probed(relay.key), undefined);
  }
  assert(a.sent.length > 2 && a.sent.length < 8, `${a.sent.length} packets`);
  assert.equal(a.news, 0);
});

Deno.test("a host's word is heard with its answers, at once when it changes, and by whoever asks", () => {
  const world = new World(), [a, b] = world.pair();
  const word = (one: Host, other: Host) => one.engine.probed(other.key)?.told?.word;
  a.follow(b, { search: [] });
  b.follow(a, { search: [] });
  world.run(2_000);
  assert.equal(a.sent.length + b.sent.length, 0);
  a.follow(b, { search: [], ask: true });
  world.run(300);
  assert.equal(word(a, b), 0);
  const since = a.engine.probed(b.key)!.told!.since, news = a.news;
  b.follow(a, { search: [], tell: 77 });
  world.run(200); // three times through the relay: a question asks for a question
  assert.equal(word(a, b), 77);
  assert(a.engine.probed(b.key)!.told!.since > since);
  assert(a.news > news);
  // An old word that is sent again is none: it answers no question.
  const old = b.sent.findLast(({ bytes }) => bytes[5] === 2)!.bytes;
  b.follow(a, { search: [], tell: 78 });
  world.run(200);
  a.engine.receive(old, RELAY);
  assert.equal(word(a, b), 78);
  // It is asked for seldom while nothing changes, and not at all when it does not matter.
  world.run(5_000);
  const before = a.sent.length;
  world.run(20_000);
  assert(a.sent.length - before <= 5, `${a.sent.length - before} packets`);
  a.follow(b, { search: [] });
  const last = a.sent.length;
  world.run(20_000);
  assert.equal(a.sent.length, last);
  // Also when the next question is not due for long.
  b.follow(a, { search: [], tell: 78, ask: true });
  world.run(12_000);
  b.follow(a, { search: [], tell: 79, ask: true });
  world.run(200);
  assert.equal(word(a, b), 79);
});
