import assert from "node:assert/strict";
import { Intake } from "./intake.ts";
import { underLoad } from "../../../scripts/lab/support.ts";

/** A listener that gives what the test has put in. */
class FakeListener {
  readonly #queue: (Deno.Conn | Error)[] = [];
  #wake: (() => void) | undefined;
  accepts = 0;
  closed = false;

  put(...items: (Deno.Conn | Error)[]): void {
    this.#queue.push(...items);
    this.#wake?.();
  }

  async accept(): Promise<Deno.Conn> {
    this.accepts += 1;
    while (this.#queue.length === 0) {
      if (this.closed) throw new Deno.errors.BadResource("closed");
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const item = this.#queue.shift()!;
    if (item instanceof Error) throw item;
    return item;
  }

  close(): void {
    this.closed = true;
    this.#wake?.();
  }
}

function setUp() {
  const listener = new FakeListener();
  const taken: Deno.Conn[] = [];
  let wake = () => {};
  const taker = {
    starvedTimes: 0,
    take: (conn: Deno.Conn) => {
      taken.push(conn);
      wake();
    },
    starved: () => void (taker.starvedTimes += 1),
  };
  const intake = new Intake(listener as unknown as Deno.Listener, taker);
  const until = async (count: number) => {
    while (taken.length < count) await new Promise<void>((resolve) => wake = resolve);
  };
  return { listener, taken, taker, intake, until };
}

const conn = () => ({}) as Deno.Conn;

Deno.test("Intake survives a process without descriptors: asks for room, pauses, goes on", async () => {
  const { listener, taker, intake, until } = setUp();
  const started = performance.now();
  listener.put(new Error("Too many open files"), new Error("Too many open files"), conn());
  await until(1);
  assert.equal(taker.starvedTimes, 2);
  assert(performance.now() - started >= 90, "no spinning");
  assert(listener.accepts <= 4);
  intake.close();
  await intake.done;
});

Deno.test("Intake goes straight on after a client that did not wait", async () => {
  const { listener, taker, intake, until } = setUp();
  listener.put(...Array.from({ length: 50 }, () => new Deno.errors.ConnectionAborted()), conn());
  const started = performance.now();
  await until(1);
  assert(performance.now() - started < underLoad(500));
  assert.equal(taker.starvedTimes, 0);
  intake.close();
  await intake.done;
});

Deno.test("Intake takes what waits before it closes, and in any case closes", async () => {
  const quiet = setUp();
  quiet.listener.put(conn(), conn(), conn());
  await quiet.intake.drain(0, 10, 10_000);
  assert.equal(quiet.taken.length, 3);
  assert.equal(quiet.listener.closed, true);

  const busy = setUp();
  const more = setInterval(() => busy.listener.put(conn()), 2);
  await busy.intake.drain(0, 1_000, 60);
  clearInterval(more);
  assert(busy.taken.length > 3);
  assert.equal(busy.listener.closed, true);
});
