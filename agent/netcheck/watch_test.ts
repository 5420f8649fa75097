import assert from "node:assert/strict";
import { encodeBindingResponse, parseBindingRequest } from "../../relay/stun/mod.ts";
import { until } from "../testing/wait.ts";
import type { NatView, NatWatchOptions } from "./mod.ts";
import { NatWatch } from "./mod.ts";
import type { NetworkWatchOptions } from "./network/mod.ts";
import { type Family, RawRefusal, type StunPort, type Take, Unreachable } from "./ports/mod.ts";
import { underLoad } from "../../scripts/lab/support.ts";

/** What STUN servers answer, by `ip:port` asked: `ip:port`, or nothing. */
type World = (target: string, asked: number) => string | undefined;

/** A port before which a test plays the network. */
class FakePort implements StunPort {
  readonly families: readonly Family[] = [4, 6];
  readonly refused = {};
  asked: string[] = [];
  closed = false;
  listening = false;
  readonly #world: () => World;
  #take: Take | undefined;

  constructor(readonly port: number, world: () => World) {
    this.#world = world;
  }

  send(family: Family, message: Uint8Array, address: string, port: number): void {
    const target = family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
    this.asked.push(target);
    const txid = parseBindingRequest(message)!;
    const said = this.#world()(target, this.asked.length);
    if (said === "unreachable") throw new Unreachable("network unreachable");
    if (said === undefined) return;
    const at = said.lastIndexOf(":");
    const answer = encodeBindingResponse(txid, {
      address: said.slice(0, at).replace(/[[\]]/g, ""),
      port: Number(said.slice(at + 1)),
    });
    queueMicrotask(() => this.#take?.(answer, address, port));
  }

  listen(take: Take): void {
    assert(!this.listening && !this.closed);
    this.listening = true;
    this.#take = take;
  }

  quiet(): Promise<void> {
    this.listening = false;
    this.#take = undefined;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    return this.quiet();
  }
}

/** A watch in a network that a test makes. */
class Stage implements AsyncDisposable {
  world: World;
  port = 51820;
  readonly ports: FakePort[] = [];
  readonly views: NatView[] = [];
  readonly watch: NatWatch;
  refusal: Error | undefined;
  networkClosed = false;
  moved: (reason: string) => void = () => {};
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor(world: World, more: Partial<NatWatchOptions> = {}) {
    this.world = world;
    this.watch = new NatWatch({
      port: () => this.port,
      servers: ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
      tunnel: "wg0",
      initial: {},
      period: 60_000,
      onChange: (view) => this.views.push(view),
      openPort: (port) => {
        if (this.refusal !== undefined) throw this.refusal;
        this.ports.push(new FakePort(port, () => this.world));
        return this.ports.at(-1)!;
      },
      watchNetwork: ({ onChange }: NetworkWatchOptions) => {
        this.moved = onChange;
        return { by: "netlink", close: () => this.networkClosed = true };
      },
      ...more,
    });
    this.#ended = this.watch.run(this.#stop.signal);
  }

  async rounds(count: number): Promise<void> {
    await until(() => this.watch.status().rounds >= count, `${count} rounds`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
    assert(this.ports.every(({ closed, listening }) => closed && !listening));
    assert(this.networkClosed);
  }
}

const always = (seen: string): World => () => seen;
const X = "203.0.113.5:1000", Y = "203.0.113.5:2000";
const CONE = { reflexive: X, symmetric: false };

Deno.test("a round asks two servers at once when the watch begins, and tells what is new", async () => {
  await using stage = new Stage(always(X));
  await stage.rounds(1);
  assert.deepEqual(stage.views, [CONE]);
  assert.deepEqual(stage.ports[0]!.asked, ["192.0.2.1:3478", "192.0.2.2:3478"]);
  const status = stage.watch.status();
  assert.equal(status.method, "raw-socket");
  assert.equal(status.network, "netlink");
  assert.deepEqual(status.servers.map(({ seen, error }) => [seen, error]), [
    [X, undefined],
    [X, undefined],
  ]);
  assert.equal(status.error, undefined);
  assert(status.lastGood! >= status.lastRound! - 1000);
});

Deno.test("another round comes after a period, not in step with other agents", async () => {
  const random = [0, 1];
  await using stage = new Stage(always(X), { period: 1_000, random: () => random.shift() ?? 0.5 });
  const began = performance.now();
  await stage.rounds(3);
  const took = performance.now() - began;
  assert(took > 2_000 && took < underLoad(4_000), `${took} ms`);
  assert.equal(stage.views.length, 1);
});

Deno.test("one server that answers otherwise is outvoted by a third, and named", async () => {
  await using stage = new Stage((target) => target === "192.0.2.1:3478" ? Y : X, { initial: CONE });
  await stage.rounds(1);
  assert.deepEqual(stage.views, []);
  const [liar] = stage.watch.status().servers;
  assert.match(liar!.error!, /answers 203.0.113.5:2000, two others agree on 203.0.113.5:1000/);
  // It is not asked first any more.
  stage.watch.poke();
  await stage.rounds(2);
  assert.deepEqual(stage.watch.status().servers.map(({ server }) => server), [
    "192.0.2.2",
    "192.0.2.3",
  ]);
});

Deno.test("nonsense is no answer, and the next server is asked instead", async () => {
  const lies = ["10.0.0.1:5", "127.0.0.1:5", "203.0.113.5:0", "192.0.2.1:3478", "100.64.0.9:5"];
  for (const lie of lies) {
    await using stage = new Stage((target) => target === "192.0.2.1:3478" ? lie : X, {
      inTunnel: (address) => address.startsWith("100.64."),
    });
    await stage.rounds(1);
    assert.deepEqual(stage.views, [CONE], lie);
    assert.match(stage.watch.status().servers[0]!.error!, /^it answers /);
  }
});

Deno.test("another address that only one server tells is confirmed at once, and then believed", async () => {
  let told = 0;
  await using stage = new Stage(
    (target) => target === "192.0.2.1:3478" ? (told++, Y) : undefined,
    { initial: CONE, servers: ["192.0.2.1"] },
  );
  await until(() => stage.views.length > 0, "belief");
  assert.deepEqual(stage.views, [{ reflexive: Y, symmetric: false }]);
  assert.equal(told, 2);
});

Deno.test("a NAT is called symmetric when two rounds say so, and its ports are nobody's business", async () => {
  await using stage = new Stage((_, asked) => `203.0.113.5:${1000 + asked}`, { initial: CONE });
  await until(() => stage.views.length > 0, "belief");
  assert.equal(stage.watch.status().rounds, 2);
  assert.equal(stage.views[0]!.symmetric, true);
  stage.watch.poke();
  await stage.rounds(3);
  assert.equal(stage.views.length, 1);
});

Deno.test("a view that flips with every round is confirmed only so often", async () => {
  let round = 1;
  await using stage = new Stage(
    () => `203.0.113.${5 + round++}:1000`,
    { initial: CONE, servers: ["192.0.2.1"] },
  );
  await stage.rounds(3);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(stage.watch.status().rounds, 3);
  assert.deepEqual(stage.views, []);
});

Deno.test("a failing round keeps what is known and says why", async () => {
  await using stage = new Stage(() => "unreachable", { initial: CONE });
  await stage.rounds(1);
  const { error, views, servers } = stage.watch.status();
  assert.match(error!, /STUN server 192.0.2.1: no way there/);
  assert.equal(views[4].failing!.reason, "no way there");
  assert.equal(servers.length, 3);
  assert.deepEqual(stage.watch.view, CONE);
  assert.deepEqual(stage.views, []);
  stage.world = always(X);
  stage.watch.poke();
  await until(() => stage.watch.status().error === undefined, "recovery");
  assert.equal(stage.watch.status().views[4].failing, undefined);
  assert.deepEqual(stage.views, []);
});

Deno.test("a change of network is measured at once, and again soon while it is not up yet", async () => {
  await using stage = new Stage(always(X), { initial: CONE });
  await stage.rounds(1);
  stage.world = () => "unreachable";
  const began = performance.now();
  stage.moved("a default route changed");
  await stage.rounds(2);
  stage.world = always(Y);
  await until(() => stage.views.length > 0, "the new address");
  assert(performance.now() - began < underLoad(4_000));
  assert.deepEqual(stage.views, [{ reflexive: Y, symmetric: false }]);
});

Deno.test("a network that changes without end is measured once a second", async () => {
  await using stage = new Stage(always(X));
  const began = performance.now();
  while (performance.now() - began < 1_500) {
    stage.moved("an address changed");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert(stage.watch.status().rounds <= 3, `${stage.watch.status().rounds} rounds`);
});

Deno.test("IPv6 is measured where there is some, and is no failure where there is none", async () => {
  const servers = ["192.0.2.1", "192.0.2.2", "[2001:db8:1::1]", "[2001:db8:1::2]"];
  const seen6 = "[2001:db8::5]:51820";
  await using stage = new Stage((target) => target.startsWith("[") ? seen6 : X, { servers });
  await stage.rounds(1);
  assert.deepEqual(stage.views, [{ ...CONE, reflexive6: seen6 }]);
  assert.equal(stage.watch.status().views[6].symmetric, false);

  await using without = new Stage((target) => target.startsWith("[") ? "unreachable" : X, {
    servers,
  });
  await without.rounds(1);
  assert.deepEqual(without.views, [CONE]);
  assert.equal(without.watch.status().error, undefined);
  assert.deepEqual(without.watch.status().views[6], {});
});

Deno.test("the first result stays, and the reason is told, where no raw socket can be had", async () => {
  const refusal = new RawRefusal("CAP_NET_RAW is needed: not permitted");
  const watch: NatWatch = new NatWatch({
    port: () => 51820,
    servers: ["192.0.2.1"],
    tunnel: "wg0",
    initial: CONE,
    onChange: () => assert.fail("nothing was measured"),
    openPort: () => {
      throw refusal;
    },
    watchNetwork: () => ({ by: "addresses", close: () => {} }),
  });
  const stop = new AbortController();
  const ended = watch.run(stop.signal);
  await until(() => watch.status().reason !== undefined, "the reason");
  assert.equal(watch.status().method, "first-result");
  assert.equal(watch.status().reason, refusal.message);
  assert.equal(watch.status().rounds, 0);
  assert.deepEqual(watch.view, CONE);
  stop.abort();
  await ended;
});

Deno.test("another port of WireGuard gets another raw socket", async () => {
  await using stage = new Stage(always(X));
  await stage.rounds(1);
  stage.port = 40000;
  stage.watch.poke();
  await stage.rounds(2);
  assert.deepEqual(stage.ports.map(({ port, closed }) => [port, closed]), [
    [51820, true],
    [40000, false],
  ]);
});

Deno.test("the watch ends at once in the middle of a round", async () => {
  const stage = new Stage(() => undefined);
  await until(() => stage.ports[0]?.asked.length, "a round");
  const began = performance.now();
  await stage[Symbol.asyncDispose]();
  assert(performance.now() - began < underLoad(200));
});
