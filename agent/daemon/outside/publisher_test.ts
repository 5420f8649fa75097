import assert from "node:assert/strict";
import { ApiFailure } from "../../api/mod.ts";
import { until } from "../../testing/wait.ts";
import { Publisher, type Whereabouts } from "./mod.ts";
import { whereaboutsOf } from "./whereabouts.ts";
import { underLoad } from "../../../scripts/lab/support.ts";

const at = (port: number): Whereabouts => ({
  endpoints: [{ source: "stun:", address: `203.0.113.5:${port}` }],
  symmetric_nat: false,
});

/** A publisher, what it sent, and how the next calls end. */
class Stage implements AsyncDisposable {
  readonly sent: { port: number; token: string; id: string; at: number }[] = [];
  readonly publisher: Publisher;
  answer: (signal: AbortSignal) => Promise<unknown> = () => Promise.resolve();
  revision = 1;

  constructor(times: ConstructorParameters<typeof Publisher>[0]["times"] = {}) {
    this.publisher = new Publisher({
      send: (token, id, { endpoints }, signal) => {
        const port = Number(endpoints[0]!.address.split(":")[1]);
        this.sent.push({ port, token, id, at: performance.now() });
        return this.answer(signal).then(() => ({ revision: ++this.revision }));
      },
      times: { coalesce: 5, retry: 20, retryMax: 40, ...times },
    });
  }

  /** The control plane tells of the device, which is at that port and of that revision. */
  tell(port: number, revision = ++this.revision, id = "device"): void {
    this.publisher.seen({ id, hostname: "twin", revision, ...at(port) });
  }

  get ports(): number[] {
    return this.sent.map(({ port }) => port);
  }

  get state(): string {
    return this.publisher.status().state;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.publisher.close();
  }
}

Deno.test("a change is published at once, with the device's own token, and nothing twice", async () => {
  await using stage = new Stage();
  stage.publisher.registered("DT:x", "device", at(1), 1);
  stage.publisher.want(at(1));
  assert.equal(stage.state, "current");
  const began = performance.now();
  stage.publisher.want(at(2));
  assert.equal(stage.state, "waiting");
  await until(() => stage.state === "current", "published");
  assert.deepEqual([stage.sent[0]!.token, stage.sent[0]!.id], ["DT:x", "device"]);
  assert(stage.sent[0]!.at - began < 500);
  stage.publisher.want(at(2));
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual(stage.ports, [2]);
});

Deno.test("changes at one time are one call, and a change that is taken back is none", async () => {
  await using stage = new Stage();
  stage.publisher.registered("DT:x", "device", at(1), 1);
  for (const port of [2, 3, 4]) stage.publisher.want(at(port));
  await until(() => stage.state === "current", "published");
  stage.publisher.want(at(5));
  stage.publisher.want(at(4));
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual(stage.ports, [4]);
});

Deno.test("a flapping NAT does not hammer the control plane, which hears the last word", async () => {
  await using stage = new Stage({ burst: 3, refill: 200 });
  stage.publisher.registered("DT:x", "device", at(1), 1);
  const began = performance.now();
  let port = 1;
  while (performance.now() - began < 500) {
    stage.publisher.want(at(++port));
    await new Promise((resolve) => setTimeout(resolve, 7));
  }
  await until(() => stage.state === "current", "published");
  const seconds = (performance.now() - began) / 1000;
  assert(stage.sent.length <= 3 + Math.ceil(seconds * 5) + 1, `${stage.sent.length} calls`);
  assert(stage.sent.length >= 4);
  assert.equal(stage.ports.at(-1), port);
});

Deno.test("what could not be published is tried again, with what is true by then", async () => {
  await using stage = new Stage();
  stage.publisher.registered("DT:x", "device", at(1), 1);
  stage.answer = () => Promise.reject(new ApiFailure("away", { kind: "unreachable" }));
  stage.publisher.want(at(2));
  await until(() => stage.sent.length >= 3, "tries");
  assert.deepEqual(stage.publisher.status(), { state: "waiting", error: "away" });
  stage.publisher.want(at(3));
  stage.answer = () => Promise.resolve();
  await until(() => stage.state === "current", "published");
  assert.equal(stage.ports.at(-1), 3);
  assert.equal(stage.publisher.status().error, undefined);
});

Deno.test("a call that hangs on a dead connection is given up and made anew", async () => {
  await using stage = new Stage({ patience: 50 });
  stage.publisher.registered("DT:x", "device", at(1), 1);
  stage.answer = (signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  stage.publisher.want(at(2));
  await until(() => stage.sent.length === 1, "the first try");
  stage.answer = () => Promise.resolve();
  await until(() => stage.state === "current", "published", 2_000);
  assert.deepEqual(stage.ports, [2, 2]);
});

Deno.test("nothing is published before a registration, and what it said need not be", async () => {
  await using stage = new Stage();
  stage.publisher.want(at(2));
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual(stage.ports, []);
  stage.publisher.registered("DT:x", "device", at(2), 1);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual([stage.ports, stage.state], [[], "current"]);
  // It said something else: that is mended.
  stage.publisher.registered("DT:y", "device", at(9), 1);
  await until(() => stage.state === "current", "published");
  assert.deepEqual(stage.sent.map(({ port, token }) => [port, token]), [[2, "DT:y"]]);
});

Deno.test("a host says where it is again, at a low rate, and tells of it when another one has its key", async () => {
  await using stage = new Stage({ reclaim: 150, rival: 400, burst: 20 });
  const rival = () => stage.publisher.status().rival;
  stage.publisher.registered("DT:x", "device", at(1), 1);
  stage.tell(1, 2); // its own word
  stage.tell(9, 3, "another device");
  assert.equal(rival(), undefined);
  stage.revision = 3;
  const began = performance.now();
  stage.tell(9);
  assert.deepEqual(rival(), { hostname: "twin", address: "203.0.113.5:9" });
  await until(() => stage.ports.length === 1, "contradicted at once");
  // The other one is as stubborn.
  while (performance.now() - began < 600) {
    if (stage.state === "current") stage.tell(9);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert(stage.ports.every((port) => port === 1));
  assert(stage.ports.length >= 3 && stage.ports.length <= 6, `${stage.ports.length} times`);
  // What is new goes out at once all the same.
  stage.tell(9);
  const changed = performance.now();
  stage.publisher.want(at(2));
  await until(() => stage.ports.at(-1) === 2, "the change");
  assert(performance.now() - changed < underLoad(100));
  await until(() => rival() === undefined, "nobody any more");
});

Deno.test("a host is not misled by events that come late, early or never", async () => {
  await using stage = new Stage();
  stage.publisher.registered("DT:x", "device", at(1), 5);
  stage.tell(9, 4); // from before the registration
  const { promise, resolve } = Promise.withResolvers<void>();
  stage.answer = () => promise;
  stage.publisher.want(at(2));
  await until(() => stage.sent.length === 1, "a call");
  stage.revision = 6;
  stage.tell(2, 6); // before the answer
  stage.tell(2, 7);
  resolve();
  await until(() => stage.state === "current", "published");
  // Taken, but the answer never came; and meanwhile something else is true.
  stage.answer = () => Promise.reject(new ApiFailure("away", { kind: "unreachable" }));
  stage.publisher.want(at(3));
  await until(() => stage.sent.length >= 2, "another call");
  stage.publisher.want(at(4));
  stage.tell(3, 20);
  stage.answer = () => Promise.resolve();
  await until(() => stage.state === "current", "published again");
  assert.equal(stage.ports.at(-1), 4);
  assert.equal(stage.publisher.status().rival, undefined);
});

Deno.test("closing ends a call that is under way", async () => {
  const stage = new Stage();
  stage.publisher.registered("DT:x", "device", at(1), 1);
  stage.answer = (signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  stage.publisher.want(at(2));
  await until(() => stage.sent.length === 1, "a call");
  await stage.publisher.close();
  assert.equal(stage.sent.length, 1);
});

Deno.test("what is published is addresses and never rubbish, IPv4 last, always of source stun:", () => {
  const local = "192.168.1.2:5", reflexive = "203.0.113.5:6", reflexive6 = "[2001:db8::5]:5";
  const sources = (nat: Parameters<typeof whereaboutsOf>[1], own: string | undefined = local) =>
    whereaboutsOf(own, nat, false).endpoints.map(({ source, address }) => `${source} ${address}`);
  assert.deepEqual(sources({ reflexive, reflexive6 }), [
    `local ${local}`,
    `stun: ${reflexive6}`,
    `stun: ${reflexive}`,
  ]);
  for (const rubbish of ["invalid AddrPort", "", "203.0.113.5", "host:5", "[::1]", "1.2.3:5"]) {
    assert.deepEqual(sources({ reflexive: rubbish, reflexive6: rubbish }, rubbish), []);
  }
  const kind = (nat: Parameters<typeof whereaboutsOf>[1], relayOnly = false) =>
    whereaboutsOf(local, nat, relayOnly).symmetric_nat;
  assert.equal(kind({ reflexive, symmetric: false }), false);
  assert.equal(kind({ reflexive, symmetric: false }, true), true);
  assert.equal(kind({ reflexive }), false);
  assert.equal(kind({ reflexive6 }), false);
  assert.equal(kind({}), true);
});
