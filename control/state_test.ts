import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { DatabaseSync } from "node:sqlite";
import { Place } from "./testing_server.ts";

Deno.test("two control planes on one state directory are refused", async () => {
  using place = new Place();
  await using _running = await place.start();
  await assert.rejects(place.start(), /another control plane is running on it; stop that one/);
});

Deno.test("a damaged database is left as it is", async () => {
  using place = new Place();
  Deno.mkdirSync(place.stateDir);
  const path = `${place.stateDir}/control.db`;
  const garbage = Buffer.alloc(8192, "not a database ");
  Deno.writeFileSync(path, garbage);
  const message =
    /control\.db: file is not a database; the file was left as it is: restore a backup/;
  await assert.rejects(place.start(), message);
  assert.deepEqual(Buffer.from(Deno.readFileSync(path)), garbage);
  assert.deepEqual([...Deno.readDirSync(place.stateDir)].map((f) => f.name).sort(), [
    "control.db",
    "control.lock",
  ]);
  Deno.removeSync(path);
  {
    await using first = await place.start();
    for (let i = 0; i < 50; i++) await first.register();
  }
  const bytes = Deno.readFileSync(path);
  bytes.fill(0x5a, 4096, bytes.length - 4096);
  Deno.writeFileSync(path, bytes);
  await assert.rejects(place.start(), (error: Error) => {
    assert.match(error.message, /the file was left as it is: restore a backup .*or move it away/);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
  assert.deepEqual(Deno.readFileSync(path), bytes);
});

Deno.test("a database of a newer version is refused", async () => {
  using place = new Place();
  await (await place.start()).control.close();
  const raw = new DatabaseSync(`${place.stateDir}/control.db`);
  raw.exec("INSERT INTO kysely_migration (name, timestamp) VALUES ('9999_future', 'x')");
  raw.close();
  await assert.rejects(place.start(), /a newer nexd wrote it \(migration 9999_future\)/);
});

Deno.test("a secret that is missing, damaged or another's stops the start", async () => {
  using place = new Place();
  await (await place.start()).control.close();
  const file = `${place.stateDir}/secret.key`;
  const secret = Deno.readTextFileSync(file);
  Deno.removeSync(file);
  await assert.rejects(place.start(), /secret\.key: it is missing/);
  Deno.writeTextFileSync(file, "short");
  await assert.rejects(place.start(), /secret\.key: it is damaged/);
  Deno.writeTextFileSync(file, Buffer.alloc(32, 7).toString("base64"));
  await assert.rejects(place.start(), /secret\.key: it belongs to another database/);
  Deno.writeTextFileSync(file, secret);
  await (await place.start()).control.close();
});

Deno.test("a state directory that cannot be written is named", async () => {
  using place = new Place();
  Deno.writeTextFileSync(`${place.dir}/file`, "");
  const stateDir = `${place.dir}/file/state`;
  for (
    const [path, reason] of [
      [stateDir, "not a directory"],
      ["/proc/nexd/state", "nothing can be made there"],
    ] as const
  ) {
    await assert.rejects(place.start({ stateDir: path }), (error: Error) => {
      assert.equal(
        error.message,
        `Cannot write to ${path}: ${reason}; make it writable for this user, ` +
          "or choose another --state-dir",
      );
      return true;
    });
  }
});
