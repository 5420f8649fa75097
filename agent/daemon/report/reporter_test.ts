import assert from "node:assert/strict";
import type { PathReport, PeerPath } from "../../../control/api/types.ts";
import { ApiFailure } from "../../api/mod.ts";
import { Reporter } from "./mod.ts";

type Way = Pick<PeerPath, "path" | "latency_ms">;

/** A reporter in a time of its own, with a control plane that does as it is told. */
class Bench {
  /** What was told, and when, ms. */
  readonly sent: { at: number; way: Way["path"]; latency: number | undefined }[] = [];
  readonly reporter: Reporter;
  peers = 1;
  random = 0;
  /** Looks at the ways. */
  looks = 0;
  #now = 0;
  #way: Way = { path: "direct", latency_ms: 10 };
  #timers: { at: number; run: () => void }[] = [];

  constructor(answer: () => Promise<void> = () => Promise.resolve()) {
    const tellPaths = async (_token: string, _id: string, { peers }: PathReport) => {
      const { path, latency_ms } = peers[0]!;
      this.sent.push({ at: this.#now, way: path, latency: latency_ms ?? undefined });
      await answer();
    };
    this.reporter = new Reporter({ tellPaths }, () => this.#report(), {}, {
      now: () => this.#now,
      random: () => this.random,
      later: (run, ms) => {
        const timer = { at: this.#now + ms, run };
        this.#timers.push(timer);
        return () => this.#timers = this.#timers.filter((one) => one !== timer);
      },
    });
  }

  #report(): PathReport {
    this.looks++;
    return {
      peers: Array.from({ length: this.peers }, (_, i) => ({
        ...{ device_id: `d${i}`, healthy: true, reason: "" },
        ...this.#way,
      })),
      more: 0,
      relays: [],
    };
  }

  /** The host finds that its way is this one, and has told about it if there was no need to wait. */
  async finds(way: Partial<Way>): Promise<void> {
    this.#way = { ...this.#way, ...way };
    await this.passes();
  }

  async passes(): Promise<void> {
    this.reporter.passed();
    await settled();
  }

  /** Time goes on, with all that is due in it. */
  async forward(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#now = next.at;
      next.run();
      await settled();
    }
    this.#now = end;
  }

  /** Tells its first way, and has all its tokens again. */
  async started(): Promise<this> {
    this.reporter.registered("DT:a", "a");
    await this.passes();
    await this.forward(100_000);
    assert.equal(this.sent.length, 1);
    this.sent.length = 0;
    return this;
  }

  /** When it told which ways, ms since then. */
  since(start: number): [number, string][] {
    return this.sent.map(({ at, way }) => [at - start, way]);
  }

  get now(): number {
    return this.#now;
  }
}

/** What was awaited has gone on. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

Deno.test("a reporter tells another way half a second later, and the same no second time", async () => {
  const bench = new Bench();
  await bench.passes();
  await bench.forward(60_000);
  assert.deepEqual(bench.sent, [], "before it has a name");
  await bench.started();
  const start = bench.now;
  await bench.finds({ path: "relayed" });
  // On its way to where it settles.
  await bench.forward(300);
  await bench.finds({ path: "none" });
  await bench.forward(60_000);
  assert.deepEqual(bench.since(start), [[500, "none"]]);
  for (let i = 0; i < 10; i++) {
    await bench.passes();
    await bench.forward(5_000);
  }
  assert.equal(bench.sent.length, 1);
  bench.reporter.connected();
  await bench.passes();
  await bench.forward(60_000);
  assert.equal(
    bench.sent.length,
    2,
    "a new stream may be of a control plane that has forgotten it",
  );
});

Deno.test("a reporter tells three ways at once and then one each ten seconds, the newest", async () => {
  const bench = await new Bench().started();
  const start = bench.now;
  for (let i = 0; i < 60; i++) {
    await bench.finds({ path: i % 2 === 0 ? "relayed" : "direct" });
    await bench.forward(1_000);
  }
  await bench.finds({ path: "none" });
  await bench.forward(60_000);
  const times = bench.since(start).map(([at]) => at);
  assert.deepEqual(times.slice(0, 3), [500, 1_500, 2_500]);
  // The bucket fills while it is used.
  assert.ok(times.length <= 3 + 7, String(times));
  const gaps = times.slice(3).map((at, i) => at - times[i + 2]!);
  assert.ok(gaps.slice(1).every((gap) => gap >= 9_000), String(times));
  assert.equal(bench.sent.at(-1)!.way, "none", "what was last is told in the end");
});

Deno.test("a reporter tells round trips each ten seconds at most, which holds up no way", async () => {
  const bench = await new Bench().started();
  const start = bench.now;
  for (let i = 1; i <= 30; i++) {
    await bench.finds({ latency_ms: 10 * 2 ** i });
    if (i === 16) await bench.finds({ path: "relayed" });
    await bench.forward(1_000);
  }
  const told = bench.since(start);
  assert.deepEqual(told.slice(0, 2).map(([at]) => at), [500, 10_500]);
  // Found at 15 s.
  assert.deepEqual(told[2], [15_500, "relayed"]);
  assert.equal(told[3]![0], 25_500);
  assert.equal(told.length, 4);
});

Deno.test("a reporter that failed waits a minute, whatever is new, and tells what is so then", async () => {
  let failing = true;
  const bench = new Bench(() => {
    const refusal = new ApiFailure("no", { kind: "status", status: 503 });
    return failing ? Promise.reject(refusal) : Promise.resolve();
  });
  bench.reporter.registered("DT:a", "a");
  await bench.passes();
  await bench.forward(500);
  assert.equal(bench.sent.length, 1);
  failing = false;
  for (let i = 0; i < 59; i++) {
    await bench.finds({ path: i % 2 === 0 ? "relayed" : "direct" });
    bench.reporter.connected();
    await bench.forward(1_000);
  }
  assert.equal(bench.sent.length, 1, "it asks again too soon");
  await bench.forward(1_000);
  assert.deepEqual(bench.since(500).slice(1), [[60_000, "relayed"]]);
});

Deno.test("a reporter leaves a control plane alone that does not take it", async () => {
  const refusal = new ApiFailure("no", { kind: "status", status: 404 });
  const bench = new Bench(() => Promise.reject(refusal));
  bench.reporter.registered("DT:a", "a");
  for (let i = 0; i < 300; i++) {
    await bench.passes();
    await bench.forward(1_000);
  }
  assert.equal(bench.sent.length, 1);
});

Deno.test("a reporter tells what changed while it was telling, without being asked", async () => {
  let answer: () => void = () => {};
  const bench = new Bench(() => new Promise((resolve) => answer = resolve));
  bench.reporter.registered("DT:a", "a");
  await bench.passes();
  await bench.forward(500);
  await bench.finds({ path: "relayed" });
  await bench.forward(5_000);
  assert.equal(bench.sent.length, 1, "one at a time");
  answer();
  await settled();
  await bench.forward(500);
  assert.deepEqual(bench.sent.map(({ way }) => way), ["direct", "relayed"]);
});

Deno.test("a thousand hosts that see one change do not tell it in the same moment", async () => {
  const times: number[] = [];
  for (let i = 0; i < 10; i++) {
    const bench = new Bench();
    bench.peers = 1000;
    await bench.started();
    bench.random = i / 10;
    const start = bench.now;
    await bench.finds({ path: "relayed" });
    await bench.forward(10_000);
    times.push(bench.since(start)[0]![0]);
  }
  assert.deepEqual(times.map(Math.round), [
    500,
    700,
    900,
    1100,
    1300,
    1500,
    1700,
    1900,
    2100,
    2300,
  ]);
});

Deno.test("a reporter that is closed tells nothing more, and one that is idle does not look", async () => {
  const bench = await new Bench().started();
  const { looks } = bench;
  await bench.forward(1_000_000);
  assert.equal(bench.looks, looks);
  await bench.finds({ path: "relayed" });
  bench.reporter.close();
  await bench.forward(60_000);
  await bench.passes();
  await bench.forward(60_000);
  assert.deepEqual(bench.sent, []);
});
