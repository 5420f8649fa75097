import assert from "node:assert/strict";
import { TestControl } from "../testing.ts";
import { Holder } from "./hold.ts";

Deno.test("every refusal of an event stream is held back, other answers are not", async () => {
  await using control = await TestControl.start({ hold: { delayMs: [80, 80] } });
  const { token } = await control.register();
  const timed = async (path: string, bearer: string | undefined, body: unknown) => {
    const start = performance.now();
    const { status } = await control.call("POST", path, bearer, body);
    return [status, performance.now() - start >= 75];
  };
  const cases: [string | undefined, unknown, number][] = [
    [undefined, [], 401],
    ["DT:nope", [], 401],
    [control.regKey, [], 403],
    [token, [{ kind: "nope" }], 400],
    [token, [{ kind: "device", options: { "vpc-id": crypto.randomUUID() } }], 404],
    [token, "x".repeat(2 ** 20 + 1), 413],
  ];
  for (const [bearer, body, status] of cases) {
    assert.deepEqual(await timed("/api/events", bearer, body), [status, true], `${status}`);
  }
  const older = `/api/vpcs/${control.userId}/events`;
  assert.deepEqual(await timed(older, "DT:nope", []), [401, true]);
  // What is not held back is fast at least once, however busy the machine is.
  const once = async (fast: () => Promise<boolean>) => {
    for (let i = 0; i < 20; i++) if (await fast()) return true;
    return false;
  };
  assert.ok(await once(async () => !(await timed("/api/devices", "DT:nope", {}))[1]));
  assert.ok(
    await once(async () => {
      const start = performance.now();
      await (await control.watch(token, [])).close();
      return performance.now() - start < 75;
    }),
  );
});

Deno.test("a full hold lets its oldest go early, for one address and in all", async () => {
  const holder = new Holder({ delayMs: [60_000, 60_000], perAddress: 2, total: 3 });
  const released: string[] = [];
  const hold = (name: string, address: string) =>
    void holder.hold(address).then(() => released.push(name));
  hold("a1", "a");
  hold("a2", "a");
  hold("b1", "b");
  await Promise.resolve();
  assert.deepEqual(released, []);
  hold("a3", "a");
  await Promise.resolve();
  assert.deepEqual(released, ["a1"]);
  hold("c1", "c");
  await Promise.resolve();
  assert.deepEqual(released, ["a1", "a2"]);
  assert.equal(holder.size, 3);
  holder.releaseAll();
  await Promise.resolve();
  assert.equal(holder.size, 0);
});
