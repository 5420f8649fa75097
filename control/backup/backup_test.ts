import assert from "node:assert/strict";
import fc from "fast-check";
import { type Postgres, startPostgres } from "../../scripts/lab/postgres.ts";
import { skip } from "../../scripts/lab/support.ts";
import type { Device } from "../api/types.ts";
import { openToken } from "../auth/mod.ts";
import { openControl } from "../service.ts";
import { openStateDir } from "../state_dir.ts";
import { Store } from "../store/mod.ts";
import { newKey, TestStream } from "../testing.ts";
import { backUp, type Place } from "./backup.ts";
import { runBackup, runRestore } from "./commands.ts";
import { writeFile } from "./files.ts";
import { readEntries, readHeader, writeBackup } from "./format.ts";
import { restore } from "./restore.ts";
import { finishReplacing, makeDraft, replaceState } from "./swap.ts";

const FROM: Deno.NetAddr = { transport: "tcp", hostname: "192.0.2.1", port: 1 };

async function withDir(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "nexd-backup-" });
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A control plane at a place, for as long as `use` takes. */
async function running<T>(place: Place, use: (control: Running) => Promise<T>): Promise<T> {
  const service = await openControl({
    ...place,
    hostname: "control.test",
    port: () => 443,
    admin: { username: "ada", password: "a password of ada" },
    hold: { delayMs: [0, 0] },
  });
  try {
    const { userId, regKey } = await service.bootstrap();
    const fetch = (method: string, path: string, bearer: string, body?: unknown) =>
      service.fetch(
        new Request(`https://api.control.test${path}`, {
          method,
          headers: { authorization: `Bearer ${bearer}` },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
        FROM,
      );
    return await use({
      userId,
      regKey: regKey ?? "",
      fetch,
      async register() {
        const public_key = newKey();
        const response = await fetch("POST", "/api/devices", regKey!, {
          vpc_id: userId,
          public_key,
        });
        const device = await response.json() as Device;
        assert.equal(response.status, 201, JSON.stringify(device));
        return { device, token: openToken(device.bearer_token!, public_key) };
      },
    });
  } finally {
    await service.close();
  }
}

interface Running {
  userId: string;
  regKey: string;
  fetch(method: string, path: string, bearer: string, body?: unknown): Promise<Response>;
  register(): Promise<{ device: Device; token: string }>;
}

Deno.test("a backup made under writes has all that was answered before it, and works elsewhere", async () => {
  await withDir(async (dir) => {
    const [from, to] = [{ stateDir: `${dir}/from` }, { stateDir: `${dir}/to` }];
    const file = `${dir}/backup`;
    const { before, during } = await running(from, async (control) => {
      const before = [];
      for (let i = 0; i < 20; i++) before.push(await control.register());
      let busy = true;
      const during: Device[] = [];
      const writing = (async () => {
        while (busy) during.push((await control.register()).device);
      })();
      const made = await backUp(from, file, "1.2.3");
      assert.ok(made.files.includes("secret.key"));
      busy = false;
      await writing;
      return { before, during };
    });
    await restore(to, file, { force: false });
    await running(to, async (control) => {
      const list = await (await control.fetch("GET", "/api/devices", control.regKey)).json();
      const ids = new Set((list as Device[]).map(({ id }) => id));
      for (const { device } of before) assert.ok(ids.has(device.id));
      const extra = during.filter(({ id }) => ids.has(id)).length;
      assert.equal(ids.size, before.length + extra, "and nothing else");
      // The same secret: tokens are good, and a new device gets an address that nobody has.
      const own = await control.fetch(
        "GET",
        `/api/devices/${before[0]!.device.id}`,
        before[0]!.token,
      );
      assert.equal(own.status, 200);
      await own.body?.cancel();
      const { device } = await control.register();
      assert.ok(!(list as Device[]).some((one) => one.allowed_ips[0] === device.allowed_ips[0]));
      // A watcher that has seen more than the backup holds hears of everything again.
      const last = Math.max(
        ...during.map(({ revision }) => revision),
        ...before.map((b) => b.device.revision),
      );
      const watch = [{
        kind: "device",
        gt_revision: last,
        at_tail: true,
        options: { "vpc-id": control.userId },
      }];
      const stream = new TestStream(
        await control.fetch("POST", "/api/events", before[0]!.token, watch),
      );
      const seen = new Set<string>();
      while (seen.size < ids.size) seen.add(((await stream.next()) as { value: Device }).value.id);
      await stream.close();
    });
  });
});

Deno.test("a state moves from SQLite to PostgreSQL and back", async () => {
  let postgres: Postgres;
  try {
    postgres = await startPostgres();
  } catch (error) {
    return skip((error as Error).message);
  }
  try {
    await withDir(async (dir) => {
      const lite = { stateDir: `${dir}/lite` };
      const pg = { stateDir: `${dir}/pg`, databaseUrl: postgres.url };
      const back = { stateDir: `${dir}/back` };
      const { device, token } = await running(lite, (control) => control.register());
      await backUp(lite, `${dir}/1`, "1");
      await restore(pg, `${dir}/1`, { force: false });
      await assert.rejects(restore(pg, `${dir}/1`, { force: false }), /--force replaces/);
      await running(pg, async (control) => {
        assert.equal((await control.fetch("GET", `/api/devices/${device.id}`, token)).status, 200);
        await control.register();
        await assert.rejects(
          restore(pg, `${dir}/1`, { force: true }),
          /another control plane is running/,
        );
        const other = { ...pg, stateDir: `${dir}/other` };
        await assert.rejects(restore(other, `${dir}/1`, { force: true }), /stop all of them/);
        const made = await backUp(pg, `${dir}/2`, "1");
        assert.ok(made.files.includes("secret.key"), "also from where the database has it");
        assert.equal(made.tables.devices, 2);
      });
      await restore(pg, `${dir}/2`, { force: true });
      await restore(back, `${dir}/2`, { force: false });
      await running(back, async (control) => {
        const list = await (await control.fetch("GET", "/api/devices", control.regKey)).json();
        assert.equal(list.length, 2);
        assert.equal((await control.fetch("GET", `/api/devices/${device.id}`, token)).status, 200);
      });
    });
  } finally {
    await postgres.stop();
  }
});

Deno.test("a backup that is damaged or cut off anywhere is refused, and nothing is touched", async () => {
  await withDir(async (dir) => {
    const from = { stateDir: `${dir}/from` }, to = { stateDir: `${dir}/to` };
    await running(from, (control) => control.register());
    await backUp(from, `${dir}/good`, "1");
    const good = await Deno.readFile(`${dir}/good`);
    const bad = fc.oneof(
      fc.nat(good.length - 1).map((length) => good.slice(0, length)),
      fc.record({ at: fc.nat(good.length - 1), by: fc.integer({ min: 1, max: 255 }) }).map(
        ({ at, by }) => good.map((byte, i) => i === at ? byte ^ by : byte),
      ),
      fc.uint8Array({ minLength: 1, maxLength: 40 }).map((more) =>
        new Uint8Array([...good, ...more])
      ),
    );
    await fc.assert(
      fc.asyncProperty(bad, async (bytes) => {
        await Deno.writeFile(`${dir}/bad`, bytes);
        const why = await restore(to, `${dir}/bad`, { force: true }).then(
          () => undefined,
          (e) => e,
        );
        // One byte of gzip's head says nothing that matters, such as which system wrote it.
        if (why === undefined) return await Deno.remove(to.stateDir, { recursive: true });
        assert.match(why.message, /^Cannot (read|use|restore)/);
        await assert.rejects(Deno.stat(`${to.stateDir}/control.db`), Deno.errors.NotFound);
      }),
      { numRuns: 80 },
    );
  });
});

Deno.test("a restore that is killed at any moment leaves the old state or the new one", async () => {
  for (let steps = 0, done = false; !done; steps++) {
    await withDir(async (dir) => {
      const names = ["control.db", "secret.key", "certs/ca.crt"];
      const put = async (where: string, text: string) => {
        for (const file of names) {
          await writeFile(where, {
            file: file.replace("control.db", "x.db"),
            mode: 0o600,
            data: btoa(text),
          });
        }
        await Deno.rename(`${where}/x.db`, `${where}/control.db`);
      };
      await put(dir, "old");
      await Deno.writeTextFile(`${dir}/control.db-wal`, "old");
      await put(await makeDraft(dir), "new");
      const { rename, remove } = Deno;
      let left = steps;
      const step = <T extends unknown[]>(act: (...args: T) => Promise<void>) => (...args: T) =>
        left-- > 0 ? act(...args) : Promise.reject(new Error("killed"));
      Deno.rename = step(rename);
      Deno.remove = step(remove);
      try {
        await replaceState(dir);
        done = true;
      } catch (error) {
        assert.equal((error as Error).message, "killed");
      } finally {
        Deno.rename = rename;
        Deno.remove = remove;
      }
      (await openStateDir(dir)).release();
      const texts = await Promise.all(names.map((name) => Deno.readTextFile(`${dir}/${name}`)));
      assert.equal(new Set(texts).size, 1, `${texts} after ${steps} steps`);
      if (texts[0] === "new") {
        await assert.rejects(Deno.stat(`${dir}/control.db-wal`), Deno.errors.NotFound);
        assert.equal(await Deno.readTextFile(`${dir}/before-restore/control.db`), "old");
      }
      await finishReplacing(dir); // nothing is left to do
    });
  }
});

Deno.test("files of a backup stay inside the state directory", async () => {
  await withDir(async (dir) => {
    for (
      const file of [
        "../x",
        "/etc/x",
        "a/../../x",
        "",
        "control.db",
        "control.lock",
        ".restored/x",
        "a//b",
      ]
    ) {
      await assert.rejects(
        writeFile(dir, { file, mode: 0o600, data: "" }),
        /does not belong there/,
        file,
      );
    }
    await writeFile(dir, { file: "certs/a b.crt", mode: 0o644, data: btoa("text") });
    assert.equal(await Deno.readTextFile(`${dir}/certs/a b.crt`), "text");
  });
});

Deno.test("a backup of a newer version is refused, whether its form or its tables are newer", async () => {
  await withDir(async (dir) => {
    const header = {
      format: "nexd-backup" as const,
      version: 1,
      nexd: "9",
      created_at: "",
      migrations: ["9999_x"],
    };
    const nothing = async function* () {};
    await writeBackup(`${dir}/tables`, header, nothing());
    await assert.rejects(
      restore({ stateDir: `${dir}/to` }, `${dir}/tables`, { force: false }),
      /migration 9999_x/,
    );
    await writeBackup(`${dir}/form`, { ...header, version: 2 }, nothing());
    await assert.rejects(readHeader(`${dir}/form`), /a newer nexd \(9\) wrote it/);
  });
});

Deno.test("what is in a backup comes out as it went in", async () => {
  await withDir(async (dir) => {
    const value = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.integer(),
      fc.constant(null),
      fc.uint8Array(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(value), { maxLength: 20 }), async (rows) => {
        const header = {
          format: "nexd-backup" as const,
          version: 1,
          nexd: "1",
          created_at: "",
          migrations: [],
        };
        await writeBackup(`${dir}/b`, header, ReadableStream.from(rows));
        const read = [];
        for await (const entry of readEntries(`${dir}/b`)) read.push(entry);
        assert.deepEqual(read, rows);
      }),
      { numRuns: 12 },
    );
  });
});

Deno.test("nexd backup and restore say what they did, and what is missing", async () => {
  await withDir(async (dir) => {
    await running({ stateDir: `${dir}/a` }, (control) => control.register());
    const said: string[] = [];
    const context = {
      json: false,
      args: [`${dir}/f`],
      version: "1",
      print: (line: string) => void said.push(line),
    };
    await runBackup({ "state-dir": `${dir}/a` }, context);
    assert.match(said[0]!, /^Backed up 1 account, 1 device and \d+ files to .*\/f \(\d+ kB\)$/);
    assert.equal((await Deno.stat(`${dir}/f`)).mode! & 0o777, 0o600);
    await runRestore({ "state-dir": `${dir}/b` }, { ...context, json: true });
    assert.equal(JSON.parse(said.at(-1)!).tables.devices, 1);
    const again = runRestore({ "state-dir": `${dir}/b` }, context);
    await assert.rejects(again, /there is a database already, .*--force replaces it/);
    await runRestore({ "state-dir": `${dir}/b`, force: true }, context);
    // Who made copies of everything, and from what a state was made, is in its log.
    const store = await Store.open(`${dir}/b/control.db`);
    try {
      const rows = await store.db.selectFrom("audit_log").select(["action", "actor_kind"])
        .where("resource_name", "=", `${dir}/f`).orderBy("id").execute();
      assert.deepEqual(rows.map((row) => [row.action, row.actor_kind]), [
        ["backup.start", "system"],
        ["restore.start", "system"],
      ]);
    } finally {
      await store.close();
    }
    await assert.rejects(runBackup({ "state-dir": `${dir}/none` }, context), /there is none; name/);
    await assert.rejects(runBackup({}, { ...context, args: [] }), { exitCode: 2 });
    const full = { ...context, args: ["/dev/full/x"] };
    await assert.rejects(runBackup({ "state-dir": `${dir}/a` }, full), /choose another place/);
  });
});
