import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { Kysely } from "kysely";
import { hashPassword } from "../auth/mod.ts";
import { createUser } from "../tenants.ts";
import { QUICK, TestControl } from "../testing.ts";
import { type Bookkeeping, migrate } from "./migrate.ts";
import { type Heard, Store, together, type Write } from "./mod.ts";
import { connectSqlite } from "./sqlite.ts";
import { openTestStore } from "./testing.ts";

async function withStore(test: (store: Store) => Promise<void>): Promise<void> {
  const store = await openTestStore();
  try {
    await test(store);
  } finally {
    await store.close();
  }
}

Deno.test("listeners hear of what was committed, once for each kind and VPC", async () => {
  await withStore(async (store) => {
    const heard: Heard[] = [];
    const stop = store.onChange((change) => heard.push(change));
    const revisions = await store.write(async (write) => {
      const all = [await write.revision("devices", "a"), await write.revision("devices", "a")];
      assert.deepEqual(heard, [], "not before the commit");
      return [...all, await write.revision("device_metadata", "b")];
    });
    assert.deepEqual(revisions, [1, 2, 1], "each kind counts for itself");
    assert.deepEqual(heard, [{ kind: "devices", vpcId: "a" }, {
      kind: "device_metadata",
      vpcId: "b",
    }]);
    stop();
    await store.write((write) => write.revision("devices", "a"));
    assert.equal(heard.length, 2);
  });
});

Deno.test("a transaction that throws changes nothing and tells nobody", async () => {
  await withStore(async (store) => {
    store.onChange(() => assert.fail("told"));
    await assert.rejects(
      store.write(async (write) => {
        await write.revision("devices", "a");
        throw new Error("no");
      }),
      /^Error: no$/,
    );
    assert.equal(await store.currentRevision("devices"), 0);
  });
});

Deno.test("revisions end at what stock agents can read", async () => {
  // Weakness 23: they decode them as signed 32-bit numbers.
  await withStore(async (store) => {
    await store.db.updateTable("revisions").set({ value: 2 ** 31 - 2 }).execute();
    assert.equal(await store.write((w) => w.revision("devices", "a")), 2 ** 31 - 1);
    await assert.rejects(store.write((w) => w.revision("devices", "a")), /used up/);
    assert.equal(await store.currentRevision("devices"), 2 ** 31 - 1);
  });
});

Deno.test("a database that was just migrated serves at once, and opens again", async () => {
  // Weakness 49: the process that ran the migrations could not create users.
  const dir = await Deno.makeTempDir({ prefix: "nexd-store-" });
  try {
    for (const username of ["ada", "sol"]) {
      const store = await Store.open(`${dir}/control.db`);
      await store.write((write) => createUser(write, { username }));
      assert.ok(await store.ready());
      await store.close();
      assert.equal(await store.ready(), false);
    }
    const raw = new DatabaseSync(`${dir}/control.db`);
    assert.equal(raw.prepare("SELECT count(*) AS n FROM users").get()!.n, 2);
    assert.equal(raw.prepare("PRAGMA journal_mode").get()!.journal_mode, "wal");
    raw.close();
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("rows keep their references", async () => {
  await withStore(async (store) => {
    await assert.rejects(
      store.db.insertInto("memberships")
        .values({ user_id: "nobody", organization_id: "none", roles_json: "[]" }).execute(),
      /foreign key/i,
    );
  });
});

Deno.test("a database of the first version keeps its users, who can sign in", async () => {
  const path = await Deno.makeTempFile();
  try {
    const old = connectSqlite(path).db;
    await migrate(old as unknown as Kysely<Bookkeeping>, path, ["0001_initial"]);
    const db = old as unknown as Kysely<Record<string, Record<string, unknown>>>;
    const named = {
      username: "bea",
      full_name: "",
      picture: "",
      created_at: "2026-01-01T00:00:00Z",
    };
    const password_hash = await hashPassword("a password of bea", QUICK);
    await db.insertInto("users").values({ id: "u1", password_hash, ...named }).execute();
    await db.destroy();
    const store = await Store.open(path);
    const account = await store.db.selectFrom("accounts").selectAll().executeTakeFirstOrThrow();
    assert.deepEqual([account.username, account.password_hash, account.generation], [
      "bea",
      password_hash,
      1,
    ]);
    const user = await store.db.selectFrom("users").selectAll().executeTakeFirstOrThrow();
    assert.deepEqual([user.id, user.subject], ["u1", account.id]);
    await using control = await TestControl.start({ store });
    const signedIn = await control.form("/oauth/token", {
      ...{ grant_type: "password", client_id: "nexodus-cli", scope: "read:users" },
      ...{ username: "bea", password: "a password of bea" },
    });
    assert.equal(signedIn.status, 200, signedIn.text);
    const me = await control.call("GET", "/api/users/me", signedIn.body.access_token);
    assert.equal(me.body.id, "u1", me.text);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("pieces of work that share a commit fail each for itself", async () => {
  await withStore(async (store) => {
    const heard: Heard[] = [];
    store.onChange((change) => heard.push(change));
    const work = (i: number) =>
      store.write(async (write) => {
        await write.db.insertInto("meta").values({ key: `k${i}`, value: "" }).execute();
        const revision = await write.revision("devices", `v${i}`);
        if (i % 3 === 0) throw new Error(`no ${i}`);
        // As a constraint would: the database itself refuses it.
        if (i % 7 === 0) {
          await write.db.insertInto("meta").values({ key: `k${i}`, value: "" }).execute();
        }
        return revision;
      });
    const results = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => work(i)));
    const good = results.flatMap(({ status }, i) => status === "fulfilled" ? [i] : []);
    assert.deepEqual(good, [...results.keys()].filter((i) => i % 3 !== 0 && i % 7 !== 0));
    const rows = await store.db.selectFrom("meta").select("key").execute();
    assert.deepEqual(rows.map(({ key }) => key).sort(), good.map((i) => `k${i}`).sort());
    const revisions = results.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    assert.deepEqual(revisions, good.map((_, n) => n + 1), "in the order that they came, no gap");
    assert.deepEqual(
      heard.map((one) => one === "everything" ? one : one.vpcId),
      good.map((i) => `v${i}`),
    );
  });
});

Deno.test("queries made together fail with the first of them, and nothing is written behind that", async () => {
  await withStore(async (store) => {
    const written = async (write: Write, key: string, fails?: Error) => {
      await write.db.selectFrom("meta").select("key").execute();
      if (fails) throw fails;
      await write.db.insertInto("meta").values({ key, value: "" }).execute();
      await write.db.updateTable("meta").set({ value: "x" }).where("key", "=", key).execute();
      return key;
    };
    const good = (i: number) =>
      store.write((write) => together(written(write, `a${i}`), written(write, `b${i}`)));
    const bad = (i: number) =>
      store.write((write) =>
        together(
          written(write, `slow${i}`),
          written(write, "", new Error("first")),
          Promise.reject(new Error("second")),
        )
      );
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => i % 2 ? good(i) : bad(i)),
    );
    for (const [i, one] of results.entries()) {
      if (one.status === "fulfilled") assert.deepEqual(one.value, [`a${i}`, `b${i}`]);
      else assert.equal(`${i % 2} ${one.reason.message}`, "0 first");
    }
    const rows = await store.db.selectFrom("meta").select("key").where("value", "=", "x").execute();
    const keys = [1, 3, 5, 7, 9, 11, 13, 15, 17, 19].flatMap((i) => [`a${i}`, `b${i}`]);
    assert.deepEqual(rows.map(({ key }) => key).sort(), keys.sort());
    const slow = await store.db.selectFrom("meta").select("key").where("key", "like", "slow%")
      .execute();
    assert.equal(slow.length, 0);
  });
});

/** A database file of the first version, removed with its copies at the end. */
async function withOldFile(test: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "nexd-store-" });
  try {
    const path = `${dir}/control.db`;
    const { db } = connectSqlite(path);
    await migrate(db as unknown as Kysely<Bookkeeping>, path, ["0001_initial"]);
    await db.destroy();
    await test(path);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const versions = (path: string) => {
  const raw = new DatabaseSync(path);
  const names = raw.prepare("SELECT name FROM kysely_migration ORDER BY name").all();
  raw.close();
  return names.map(({ name }) => String(name));
};

Deno.test("a database is copied before its tables are changed, and the last three copies stay", async () => {
  await withOldFile(async (path) => {
    for (const name of ["a", "b", "c"]) await Deno.writeTextFile(`${path}.${name}.backup`, name);
    await Deno.utime(`${path}.a.backup`, 1, 1);
    await (await Store.open(path)).close();
    assert.ok(versions(path).length > 2);
    assert.deepEqual(versions(`${path}.0001_initial.backup`), ["0001_initial"]);
    assert.equal((await Deno.stat(`${path}.0001_initial.backup`)).mode! & 0o777, 0o600);
    await assert.rejects(Deno.stat(`${path}.a.backup`), Deno.errors.NotFound);
    for (const name of ["b", "c"]) await Deno.stat(`${path}.${name}.backup`);
    // Nothing to change, nothing to copy.
    await Deno.remove(`${path}.0001_initial.backup`);
    await (await Store.open(path)).close();
    await assert.rejects(Deno.stat(`${path}.0001_initial.backup`), Deno.errors.NotFound);
  });
});

Deno.test("a migration that fails leaves the database as it was", async () => {
  await withOldFile(async (path) => {
    const raw = new DatabaseSync(path);
    raw.exec("CREATE TABLE invitations (a)"); // in the way of a later migration
    raw.close();
    await assert.rejects(Store.open(path), /table invitations already exists; the file was left/);
    assert.deepEqual(versions(path), ["0001_initial"]);
    const after = new DatabaseSync(path);
    after.exec("DROP TABLE invitations");
    assert.throws(() => after.prepare("SELECT 1 FROM accounts"), /no such table/);
    after.close();
    await (await Store.open(path)).close();
  });
});

Deno.test("a start that cannot copy its database first changes nothing", async () => {
  await withOldFile(async (path) => {
    await Deno.mkdir(`${path}.0001_initial.backup.new`); // in the way of the copy
    await assert.rejects(Store.open(path), /Cannot copy .* before its tables are changed/);
    assert.deepEqual(versions(path), ["0001_initial"]);
  });
});
