import assert from "node:assert/strict";
import type { Device } from "../api/types.ts";
import type { Store } from "../store/mod.ts";
import { newKey, TestControl } from "../testing.ts";
import { Instances } from "./instances.ts";
import { OnlineTracker } from "./online.ts";
import { readPage } from "./source.ts";

/** Several control planes on the database of one, as if it were shared. */
async function cluster(
  count: number,
  test: (trackers: OnlineTracker[], control: TestControl, devices: Device[]) => Promise<void>,
): Promise<void> {
  await using control = await TestControl.start();
  Object.defineProperty(control.store, "shared", { value: true });
  const devices: Device[] = [];
  for (let i = 0; i < 3; i++) {
    devices.push((await control.register({ public_key: newKey() })).device);
  }
  const times = { graceMs: 10, startGraceMs: 100 };
  const trackers = Array.from({ length: count }, () => new OnlineTracker(control.store, times));
  try {
    for (const tracker of trackers) await tracker.start();
    await test(trackers, control, devices);
  } finally {
    for (const tracker of trackers) tracker.close();
    await control.store.write(() => Promise.resolve()); // what was under way is done
  }
}

async function online(store: Store, ids: readonly string[]): Promise<boolean[]> {
  const rows = await store.db.selectFrom("devices").select(["id", "online"]).execute();
  return ids.map((id) => rows.find((row) => row.id === id)!.online === 1);
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const start = Date.now(); !await condition();) {
    assert.ok(Date.now() - start < 10_000, `waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

Deno.test("a device is online while any control plane has a stream of it", async () => {
  await cluster(2, async ([a, b], { store }, [one]) => {
    await a!.opened(one!.id);
    await b!.opened(one!.id);
    a!.closed(one!.id);
    await until("one control plane has let it go", async () => {
      const rows = await store.db.selectFrom("device_streams").selectAll().execute();
      return rows.length === 1;
    });
    assert.deepEqual(await online(store, [one!.id]), [true]);
    b!.closed(one!.id);
    await until("it is offline", async () => !(await online(store, [one!.id]))[0]);
  });
});

Deno.test("devices of a control plane that died go offline unless another has them, and no others do", async () => {
  await cluster(3, async ([a, b], { store }, devices) => {
    const ids = devices.map(({ id }) => id);
    await a!.opened(ids[0]!);
    await a!.opened(ids[1]!);
    await b!.opened(ids[1]!);
    await b!.opened(ids[2]!);
    a!.close();
    await until("its device is offline", async () => !(await online(store, ids))[0]);
    assert.deepEqual(await online(store, ids), [false, true, true]);
    // As many looks again: who lives is not taken for dead.
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.deepEqual(await online(store, ids), [false, true, true]);
    const instances = await store.db.selectFrom("instances").selectAll().execute();
    assert.equal(instances.filter(({ beat }) => beat > 0).length, 2);
  });
});

Deno.test("a control plane that was taken for dead tells its devices again", async () => {
  await cluster(1, async ([a], { store }, [one, two]) => {
    await a!.opened(one!.id);
    await store.write(async ({ db }) => {
      await db.deleteFrom("device_streams").execute();
      await db.deleteFrom("instances").execute();
      await db.updateTable("devices").set({ online: 0 }).execute();
    });
    await until("it is online again", async () => (await online(store, [one!.id]))[0]!);
    assert.deepEqual(await online(store, [two!.id]), [false]);
  });
});

Deno.test("rows that change between the queries of a page are left for the next, in their order", async () => {
  await using control = await TestControl.start();
  const { device: mover } = await control.register({ public_key: newKey() });
  const { device: other } = await control.register({ public_key: newKey() });
  const { store, userId } = control;
  let once = true;
  const between = store.db.withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      // After the devices were read, and before those that left.
      if (once && result.rows.some((row) => row["public_key"] !== undefined)) {
        once = false;
        await store.write(async (write) => {
          const revision = await write.revision("devices", userId);
          await write.db.updateTable("devices").set({ revision }).where("id", "=", other.id)
            .execute();
          await write.db.insertInto("device_departures").values({
            vpc_id: userId,
            device_id: mover.id,
            revision: await write.revision("devices", userId),
            device_json: JSON.stringify(mover),
          }).execute();
        });
      }
      return result;
    },
  });
  const topic = { kind: "device" as const, vpcId: userId };
  const first = await readPage(between, topic, { after: 0, deletesAfter: 0 });
  assert.equal(once, false);
  const last = Math.max(first.upTo, ...first.entries.map(({ revision }) => revision));
  const next = await readPage(store.db, topic, { after: last, deletesAfter: last });
  assert.deepEqual(next.entries.map(({ id, deleted }) => [id, deleted]), [
    [other.id, false],
    [mover.id, true],
  ]);
});

Deno.test("nobody is taken for gone while agents are coming back in numbers", async () => {
  await using control = await TestControl.start();
  await control.store.db.insertInto("instances").values({ id: "before", beat: 0 }).execute();
  let looks = 0;
  const told: [string, number][] = [];
  const settled = Promise.withResolvers<void>();
  const instances = new Instances(control.store, 25, {
    coming: () => ++looks < 9,
    gone: (id) => Promise.resolve(void told.push([id, looks])),
    revived: () => Promise.resolve(),
    settled: () => Promise.resolve(settled.resolve()),
  });
  try {
    await instances.start();
    await settled.promise;
    assert.deepEqual(told, [["before", 9]]);
    assert.equal(looks, 9);
  } finally {
    instances.close();
  }
});
