import assert from "node:assert/strict";
import { type Postgres, startPostgres } from "../../../scripts/lab/postgres.ts";
import { skip } from "../../../scripts/lab/support.ts";
import { createUser } from "../../tenants.ts";
import { type Heard, Store, together, unavailable } from "../mod.ts";
import { takeDatabase } from "../testing.ts";
import { heardIn, notification } from "./listener.ts";

/** Runs steps against a server of the test's own. */
async function withPostgres(test: (postgres: Postgres) => Promise<void>): Promise<void> {
  let postgres: Postgres;
  try {
    postgres = await startPostgres();
  } catch (error) {
    return skip((error as Error).message);
  }
  try {
    await test(postgres);
  } finally {
    await postgres.stop();
  }
}

/** Stores on one database, closed at the end. */
async function withStores(
  postgres: Postgres,
  count: number,
  test: (stores: Store[]) => Promise<void>,
): Promise<void> {
  const database = await takeDatabase(postgres.url);
  const stores = await Promise.all(Array.from({ length: count }, () => Store.open(database.url)));
  try {
    await test(stores);
  } finally {
    for (const store of stores) await store.close();
    await database.release();
  }
}

/** Resolves with what a store hears next. */
function next(store: Store): Promise<Heard> {
  return new Promise((resolve) => {
    const stop = store.onChange((heard) => {
      stop();
      resolve(heard);
    });
  });
}

Deno.test("control planes on one PostgreSQL", async (t) => {
  await withPostgres(async (postgres) => {
    await t.step("that start together make the tables once", async () => {
      const stores = await Promise.all(
        Array.from({ length: 4 }, () => Store.open(postgres.url)),
      );
      const counted = await stores[3]!.db.selectFrom("revisions").selectAll().execute();
      assert.equal(counted.length, 6);
      for (const store of stores) await store.close();
    });

    await t.step("hear of each other's changes once they are committed", async () => {
      await withStores(postgres, 2, async ([a, b]) => {
        const heard = next(b!);
        const revision = await a!.write((write) => write.revision("vpcs", "v"));
        assert.deepEqual(await heard, { kind: "vpcs", vpcId: "v" });
        assert.equal(await b!.currentRevision("vpcs"), revision);
        // More than one notification holds: everything.
        const all = next(b!);
        await a!.write((write) => {
          for (let i = 0; i < 300; i++) write.touched("devices", crypto.randomUUID());
          return Promise.resolve();
        });
        assert.equal(await all, "everything");
      });
    });

    await t.step("hear that a VPC's paths are other ones, beside the changes", async () => {
      await withStores(postgres, 2, async ([a, b]) => {
        const heard = next(b!);
        await a!.write((write) => Promise.resolve(write.rerouted("v")));
        assert.deepEqual(await heard, { kind: "paths", vpcId: "v" });
      });
    });

    await t.step("give out revisions in the order of their commits", async () => {
      await withStores(postgres, 3, async (stores) => {
        const done = new AbortController();
        // A watcher on each: whatever a counter has reached is there to be read.
        const watchers = stores.map(async (store) => {
          let seen = 0;
          while (!done.signal.aborted) {
            const upTo = await store.currentRevision("devices");
            const rows = await store.db.selectFrom("meta").select("key").execute();
            assert.equal(rows.filter(({ key }) => Number(key) <= upTo).length, upTo);
            seen = Math.max(seen, upTo);
          }
          return seen;
        });
        const work = (store: Store, i: number) =>
          store.write(async (write) => {
            const key = String(await write.revision("devices", "v"));
            if (i % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 3));
            await write.db.insertInto("meta").values({ key, value: "" }).execute();
            if (i % 7 === 0) throw new Error("undone");
          }).catch((error) => assert.equal(error.message, "undone"));
        await Promise.all(stores.flatMap((store) =>
          Array.from({ length: 60 }, async (_, i) => {
            await new Promise((resolve) => setTimeout(resolve, Math.random() * 200));
            await work(store, i);
          })
        ));
        done.abort();
        await Promise.all(watchers);
        // 60 pieces of work each, of which every seventh was undone.
        assert.equal(await stores[0]!.currentRevision("devices"), 3 * 51);
      });
    });

    await t.step("make one user when several do so at once", async () => {
      await withStores(postgres, 2, async (stores) => {
        const id = crypto.randomUUID();
        const made = await Promise.allSettled(
          stores.map((store) => store.write((write) => createUser(write, { username: "ada", id }))),
        );
        assert.deepEqual(made.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
      });
    });

    await t.step("catch up when the connection that tells of changes was lost", async () => {
      await withStores(postgres, 2, async ([a, b]) => {
        const heard = next(b!);
        const { rows } = await terminate(a!, "%(listener)");
        assert.ok(rows.length >= 2, "each had one");
        assert.equal(await heard, "everything");
        const again = next(b!);
        await a!.write((write) => write.revision("vpcs", "v"));
        assert.deepEqual(await again, { kind: "vpcs", vpcId: "v" });
      });
    });

    await t.step("go on when the server was gone for a while", async () => {
      const store = await Store.open(postgres.url);
      const heard = next(store);
      await store.write((write) => write.revision("vpcs", "v"));
      assert.deepEqual(await heard, { kind: "vpcs", vpcId: "v" });
      await postgres.kill();
      const refused = await store.write((write) => write.revision("vpcs", "v")).catch((e) => e);
      assert.match(unavailable(refused) ?? String(refused), /^the database (cannot|has been)/);
      assert.equal(await store.ready(), false);
      const all = next(store);
      await postgres.start();
      assert.equal(await all, "everything");
      assert.equal(await store.write((write) => write.revision("vpcs", "v")), 2);
      assert.equal(await store.ready(), true);
      await store.close();
    });

    await t.step(
      "say that the database is to blame for whatever a lost session leads to",
      async () => {
        await withStores(postgres, 2, async ([a, b]) => {
          const unknown = new Set<string>();
          const tell = (error: unknown) => {
            if (unavailable(error) === undefined) unknown.add(String(error));
          };
          let lost = 0;
          const done = new AbortController();
          const busy = Array.from({ length: 12 }, async (_, i) => {
            while (!done.signal.aborted) {
              const work = i % 2 ? a!.currentRevision("vpcs") : a!.write(async (write) => {
                await together(write.revision("vpcs", "v"), write.revision("devices", "v"));
                await write.db.selectFrom("meta").selectAll().execute();
              });
              await work.catch((error) => {
                lost++;
                tell(error);
              });
            }
          });
          for (let i = 0; i < 40 || (lost === 0 && i < 500); i++) {
            await terminate(b!, "nexd control");
            await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
          }
          done.abort();
          await Promise.all(busy);
          assert.deepEqual([...unknown], []);
          assert.ok(lost > 0, "some were under way");
        });
      },
    );

    await t.step("say so, too, when they are let in no more", async () => {
      const database = await takeDatabase(postgres.url);
      const store = await Store.open(database.url);
      const other = await Store.open(postgres.url);
      const { sql } = await import("kysely");
      const name = new URL(database.url.replace("@/", "@x/")).pathname.slice(1);
      // Nothing that is known by a code of its own.
      await sql.raw(`alter database ${name} allow_connections false`).execute(other.db);
      await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`
        .execute(other.db);
      const refused = [
        await store.write((write) => write.revision("vpcs", "v")).catch((error) => error),
        await store.currentRevision("vpcs").catch((error) => error),
      ];
      await sql.raw(`alter database ${name} allow_connections true`).execute(other.db);
      for (const error of refused) assert.match(unavailable(error) ?? String(error), /^the data/);
      await store.close();
      await other.close();
      await database.release();
    });

    await t.step("refuse a database that a newer version has changed", async () => {
      const store = await Store.open(postgres.url);
      const { sql } = await import("kysely");
      await sql`insert into kysely_migration values ('9999_future', '')`.execute(store.db);
      await store.close();
      await assert.rejects(
        Store.open(postgres.url),
        /a newer nexd wrote it \(migration 9999_future/,
      );
    });

    await t.step("name a database that is not there, or no server", async () => {
      const missing = postgres.url.replace("/postgres?", "/none?");
      await assert.rejects(Store.open(missing), /"none" does not exist; make it with createdb/);
      await assert.rejects(
        Store.open("postgres://u:secret@127.0.0.1:1/db"),
        (error: Error) => /check that it runs/.test(error.message) && !/secret/.test(error.message),
      );
    });
  });
});

/** Ends the sessions of a name. */
async function terminate(store: Store, name: string) {
  const { sql } = await import("kysely");
  return await sql`select pg_terminate_backend(pid) from pg_stat_activity
    where application_name like ${name} and datname = current_database()
      and pid <> pg_backend_pid()`.execute(store.db);
}

Deno.test("a notification is a change, everything when it cannot be read, nothing when it is our own", () => {
  const text = (value: unknown) => JSON.stringify(value);
  assert.deepEqual(heardIn(text({ from: "a", changes: [["devices", "v"]] }), "b"), [
    { kind: "devices", vpcId: "v" },
  ]);
  assert.equal(heardIn(text({ from: "a", changes: [] }), "a"), undefined);
  const changes = [{ kind: "devices", vpcId: "v" }, { kind: "paths", vpcId: "w" }] as const;
  assert.deepEqual(heardIn(notification("a", changes), "b"), changes);
  // To those that know nothing of paths they are nothing: a kind that they do not know is everything.
  assert.deepEqual(JSON.parse(notification("a", changes.slice(1))).changes, []);
  for (
    const junk of ["", "{", "null", "[]", text({ changes: [["x", "v"]] }), text({ changes: 1 })]
  ) {
    assert.deepEqual(heardIn(junk, "b"), ["everything"], junk);
  }
});

Deno.test("what a driver says of a lost connection is no fault of the request", () => {
  for (
    const [code, message] of [
      ["ERR_STREAM_DESTROYED", "Cannot call write after a stream was destroyed"],
      ["EMFILE", "too many open files"],
      ["28P01", 'password authentication failed for user "nexd"'],
      [undefined, "timeout expired"],
    ]
  ) {
    assert.match(unavailable(Object.assign(new Error(message), { code })) ?? "", /^the database /);
  }
  assert.equal(unavailable(new TypeError("x is not a function")), undefined);
  assert.equal(
    unavailable(Object.assign(new Error("duplicate key"), { code: "23505" })),
    undefined,
  );
});
