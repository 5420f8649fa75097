import assert from "node:assert/strict";
import fc from "fast-check";
import { ensureSelfSigned } from "../../../relay/cert/mod.ts";
import { FakeControl, fakeDevice, json, VPC_ID } from "../../testing/fake_control.ts";
import { until } from "../../testing/wait.ts";
import {
  ApiClient,
  ApiFailure,
  Backoff,
  pause,
  runWatch,
  WatchCache,
  type WatchState,
} from "../mod.ts";
import type { WatchTimes } from "./watch.ts";

interface Watching extends AsyncDisposable {
  control: FakeControl;
  cache: WatchCache;
  states: WatchState[];
  changes: number;
  result: Promise<ApiFailure | undefined>;
  stop(): void;
  names(): string[];
}

/** A fake control plane with one device, and a watch on it as that device. */
async function watching(
  options: { times?: Partial<WatchTimes>; before?: (control: FakeControl) => void; base?: number } =
    {},
): Promise<Watching> {
  const dir = await Deno.makeTempDir();
  const tls = await ensureSelfSigned(dir, ["127.0.0.1"]);
  const control = new FakeControl(tls);
  control.put(fakeDevice("me", "K1", 1, { revision: 5 }));
  options.before?.(control);
  const api = new ApiClient({ apiUrl: control.url, caCerts: [tls.ca] });
  const stop = new AbortController();
  const cache = new WatchCache(VPC_ID);
  const watch: Watching = {
    control,
    cache,
    states: [],
    changes: 0,
    result: Promise.resolve(undefined),
    stop: () => stop.abort(),
    names: () => cache.devices().map((d) => d.id).sort(),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watch.result;
      api.close();
      await control.close();
      await Deno.remove(dir, { recursive: true });
    },
  };
  watch.result = runWatch({
    api,
    token: "DT:me",
    cache,
    signal: stop.signal,
    onChange: () => watch.changes++,
    onState: (state) => watch.states.push(state),
    backoff: new Backoff({ base: options.base ?? 20, max: 80 }),
    ...(options.times === undefined ? {} : { times: options.times }),
  });
  return watch;
}

const posts = (control: FakeControl) =>
  control.log.filter((line) => line === "POST /api/events").length;

Deno.test("watch fills the cache and follows changes and deletes", async () => {
  await using w = await watching();
  await until(() => w.cache.synced, "backlog");
  assert.deepEqual(w.names(), ["me"]);
  w.control.put(fakeDevice("peer", "K2", 2, { revision: 6 }));
  await until(() => w.names().length === 2, "change");
  w.control.streams[0]!.send({
    kind: "device",
    type: "delete",
    value: fakeDevice("peer", "", 2, { revision: 7 }),
  });
  await until(() => w.names().length === 1, "delete");
  assert(w.changes >= 3);
  assert.equal(w.states.at(-1)!.state, "connected");
});

Deno.test("watch resumes a broken stream where it was and misses nothing", async () => {
  await using w = await watching();
  await until(() => w.cache.synced, "backlog");
  for (const [i, how] of (["abort", "end", "abort"] as const).entries()) {
    const stream = w.control.streams[0]!;
    stream[how]();
    // Happens while nobody listens: the next stream has to bring it.
    w.control.devices.set(`p${i}`, fakeDevice(`p${i}`, `K${i}`, i + 2, { revision: 10 + i }));
    await until(() => w.names().includes(`p${i}`), `change after ${how}`);
    const [resumed] = w.control.streams[0]!.watches;
    assert.equal(resumed!.at_tail, true);
    assert.equal(resumed!.gt_revision, i === 0 ? 5 : 9 + i);
  }
});

Deno.test("watch reads a stream however its bytes arrive", async () => {
  await using w = await watching({ before: (control) => control.backlog = false });
  const stream = await until(() => w.control.streams[0], "stream");
  const text = ["device", "device-metadata"]
    .map((kind) => JSON.stringify({ kind, type: "tail" })).join("\n\n") +
    "\n\n" +
    JSON.stringify({ kind: "device", type: "change", value: fakeDevice("ü", "K", 3) });
  for (const part of text.match(/[^]{1,7}/g)!) {
    stream.raw(part);
    await pause(1);
  }
  await until(() => w.names().includes("ü"), "last event");
});

Deno.test("watch never floods a control plane that fails at once", async () => {
  for (
    const answer of [
      () => json(503, { error: "down" }),
      () => new Response("", { headers: { "content-type": "application/json" } }),
      () => new Response('{"type":"error","value":{"error":"fetch failed"}}'),
      () => new Response("not json"),
    ]
  ) {
    const base = 50;
    await using w = await watching({
      base,
      before: (control) =>
        control.intercept = ({ path }) => path === "/api/events" ? answer() : undefined,
    });
    const began = performance.now();
    await until(() => posts(w.control) >= 4, "four tries");
    const elapsed = performance.now() - began;
    // Three waits of at least half of 50, 80 and 80 ms.
    assert(elapsed >= 100, `four tries in ${elapsed} ms`);
    assert(w.states.some((s) => s.state === "down" && s.error !== undefined));
    // It recovers by itself.
    w.control.intercept = () => undefined;
    await until(() => w.cache.synced, "recovery");
  }
});

Deno.test("backoff of an agent stays below one request a second in the long run", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 20, maxLength: 60 }),
      (dice) => {
        let i = 0;
        const backoff = new Backoff({ random: () => dice[i++ % dice.length]! });
        const delays = dice.map(() => backoff.next());
        assert(delays.every((ms) => ms >= 250 && ms <= 15_000));
        assert(delays.slice(5).every((ms) => ms >= 7_500));
        backoff.reset();
        assert(backoff.next() <= 500);
      },
    ),
  );
});

Deno.test("watch waits as long as the control plane asks", async () => {
  let asked = 0;
  await using w = await watching({
    before: (control) =>
      control.intercept = ({ path }) => {
        if (path !== "/api/events" || asked++ > 0) return undefined;
        return new Response(null, { status: 429, headers: { "retry-after": "1" } });
      },
  });
  const began = performance.now();
  await until(() => w.cache.synced, "second try");
  assert(performance.now() - began >= 950);
});

Deno.test("watch hands a refused token back instead of repeating it", async () => {
  await using w = await watching();
  await until(() => w.cache.synced, "backlog");
  w.control.devices.delete("me");
  w.control.streams[0]!.abort();
  const refusal = await w.result;
  assert(refusal instanceof ApiFailure);
  assert.equal(refusal.status, 401);
  assert.equal(posts(w.control), 2);
  assert.deepEqual(w.names(), ["me"]); // what is known stays
});

Deno.test("watch keeps devices while the control plane is away and reconnects to it", async () => {
  await using w = await watching();
  await until(() => w.cache.synced, "backlog");
  w.control.intercept = () => json(503, {});
  w.control.streams[0]!.abort();
  await until(() => w.states.at(-1)!.state === "down", "noticing");
  assert.deepEqual(w.names(), ["me"]);
  w.control.intercept = () => undefined;
  await until(() => w.states.at(-1)!.state === "connected", "reconnecting");
  assert.deepEqual(w.names(), ["me"]);
});

Deno.test("watch bears silence, but not once heartbeats were seen and then stop", async () => {
  const times = { heartbeatGap: 20, silenceWithHeartbeats: 700, silenceWithout: 60_000 };
  await using w = await watching({ times });
  await until(() => w.cache.synced, "backlog");
  await pause(300);
  assert.equal(posts(w.control), 1, "silence without heartbeats is fine");
  for (let i = 0; i < 5; i++) {
    w.control.streams[0]!.raw("\n");
    await pause(100);
  }
  assert.equal(posts(w.control), 1, "heartbeats keep it open");
  await until(() => posts(w.control) === 2, "reopening after silence");
  assert.match(w.states.find((s) => s.error !== undefined)!.error!, /fell silent/);
});

/** Time by hand for what waits 30 s or longer; shorter timers are the runtime's. */
class SlowClock implements Disposable {
  readonly #set = globalThis.setTimeout;
  readonly #clear = globalThis.clearTimeout;
  readonly #performance = performance.now;
  readonly #due = new Map<number, { at: number; run: () => void }>();
  #now = 0;
  #next = -1;

  constructor() {
    globalThis.setTimeout = ((run: () => void, ms = 0) => {
      if (ms < 30_000) return this.#set(run, ms);
      this.#due.set(this.#next, { at: this.#now + ms, run });
      return this.#next--;
    }) as typeof setTimeout;
    globalThis.clearTimeout = (id) => {
      if (!this.#due.delete(Number(id))) this.#clear(id);
    };
    performance.now = () => this.#performance.call(performance) + this.#now;
  }

  pass(ms: number): void {
    this.#now += ms;
    for (const [id, { at, run }] of [...this.#due]) {
      if (at > this.#now) continue;
      this.#due.delete(id);
      run();
    }
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#set;
    globalThis.clearTimeout = this.#clear;
    performance.now = this.#performance;
  }
}

Deno.test("watch gives a stream up after 45 s once a heartbeat came, and after 600 s without", async () => {
  using clock = new SlowClock();
  const opened: ReadableStreamDefaultController<Uint8Array>[] = [];
  const errors: string[] = [];
  const stop = new AbortController();
  const result = runWatch({
    api: {
      openWatch: () =>
        Promise.resolve(new ReadableStream<Uint8Array>({ start: (c) => void opened.push(c) })),
    },
    token: "DT:me",
    cache: new WatchCache(VPC_ID),
    signal: stop.signal,
    onChange: () => {},
    onState: ({ error }) => {
      if (error !== undefined) errors.push(error);
    },
  });
  const streams = async (count: number) => {
    await pause(30);
    await until(() => opened.length >= count, `stream ${count}`);
    await pause(10); // it is being read
    assert.equal(opened.length, count);
  };
  await streams(1);
  clock.pass(599_000);
  await streams(1);
  clock.pass(1_500);
  await streams(2);
  for (let i = 0; i < 4; i++) {
    clock.pass(15_000);
    opened[1]!.enqueue(new Uint8Array([0x0a]));
    await streams(2);
  }
  clock.pass(44_000);
  await streams(2);
  clock.pass(1_500);
  await streams(3);
  assert.match(errors.at(-1)!, /fell silent/);
  stop.abort();
  assert.equal(await result, undefined);
});

Deno.test("watch does not take the empty line behind an event for a heartbeat", async () => {
  await using w = await watching({ times: { silenceWithHeartbeats: 50 } });
  await until(() => w.cache.synced, "backlog");
  w.control.streams[0]!.raw("\n");
  await pause(200);
  assert.equal(posts(w.control), 1);
});

Deno.test("watch skips events that make no sense and goes on", async () => {
  await using w = await watching();
  await until(() => w.cache.synced, "backlog");
  const stream = w.control.streams[0]!;
  for (
    const event of [
      { kind: "device", type: "change", value: null },
      { kind: "device", type: "change", value: ["x"] },
      { kind: "weather", type: "change", value: { id: "x" } },
      { kind: "device", type: "bookmark" },
      {},
    ]
  ) stream.send(event);
  stream.send({
    kind: "device",
    type: "change",
    value: fakeDevice("late", "K9", 9, { revision: 99 }),
  });
  await until(() => w.names().includes("late"), "the event behind");
  assert.equal(posts(w.control), 1);
});

Deno.test("watch ends a stream whose object has no end", async () => {
  await using w = await watching();
  await until(() => w.cache.synced, "backlog");
  const stream = w.control.streams[0]!;
  stream.raw('{"kind":"');
  for (let i = 0; i < 20; i++) stream.raw("x".repeat(100_000));
  await until(() => w.states.some((s) => /larger than/.test(s.error ?? "")), "refusal");
  await until(() => w.states.at(-1)!.state === "connected", "next stream");
});

Deno.test("watch goes on without security groups when the control plane refuses their kind", async () => {
  const asked: string[][] = [];
  await using w = await watching({
    before: (control) => {
      control.intercept = ({ path, body }) => {
        if (path !== "/api/events") return undefined;
        const kinds = (body as { kind: string }[]).map(({ kind }) => kind);
        asked.push(kinds);
        const at = kinds.indexOf("security-group");
        if (at < 0) return undefined;
        return json(400, { error: "invalid data in field", field: `request[${at}].kind` });
      };
    },
  });
  await until(() => w.cache.synced, "the rest to be told");
  assert.deepEqual(w.names(), ["me"]);
  assert.deepEqual(asked, [
    ["device", "security-group", "device-metadata"],
    ["device", "device-metadata"],
  ]);
});
