import assert from "node:assert/strict";
import { lockFile, tryLockFile, writeFileAtomic } from "./mod.ts";

async function inTempDir(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "nexd-platform-" });
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const names = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name);
const modeOf = (path: string) => Deno.lstatSync(path).mode! & 0o777;

Deno.test("atomic write replaces content and mode, and leaves no other file", () =>
  inTempDir(async (dir) => {
    const path = `${dir}/state.json`;
    await Deno.writeTextFile(path, "old", { mode: 0o644 });
    await writeFileAtomic(path, "new");
    assert.equal(await Deno.readTextFile(path), "new");
    assert.equal(modeOf(path), 0o600);
    await writeFileAtomic(path, new Uint8Array([1, 2]), 0o644);
    assert.deepEqual(await Deno.readFile(path), new Uint8Array([1, 2]));
    assert.equal(modeOf(path), 0o644);
    assert.deepEqual(names(dir), ["state.json"]);
  }));

Deno.test("atomic write replaces a link and does not write through it", () =>
  inTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/other`, "untouched");
    await Deno.symlink(`${dir}/other`, `${dir}/state`);
    await writeFileAtomic(`${dir}/state`, "new");
    assert.equal(await Deno.readTextFile(`${dir}/other`), "untouched");
    assert.equal(Deno.lstatSync(`${dir}/state`).isSymlink, false);
  }));

Deno.test("atomic write that fails leaves the old file and nothing beside it", () =>
  inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/state`);
    await assert.rejects(writeFileAtomic(`${dir}/state`, "new"));
    await assert.rejects(writeFileAtomic(`${dir}/missing/state`, "new"), Deno.errors.NotFound);
    assert.deepEqual(names(dir), ["state"]);
  }));

Deno.test("lock keeps a second owner out and names the first until it is released", () =>
  inTempDir(async (dir) => {
    const path = `${dir}/lock`;
    const lock = await lockFile(path);
    assert.equal(modeOf(path), 0o600);
    await assert.rejects(lockFile(path), {
      exitCode: 1,
      message: new RegExp(`running already \\(pid ${Deno.pid}\\) and holds ${path}; .*--state-dir`),
    });
    lock.release();
    lock.release();
    (await lockFile(path)).release();
  }));

Deno.test("lock that is removed at its end never has two owners, and leaves no file", () =>
  inTempDir(async (dir) => {
    const path = `${dir}/lock`;
    let owners = 0, had = 0;
    const take = async () => {
      for (let round = 0; round < 20;) {
        const lock = await tryLockFile(path);
        if (!("release" in lock)) {
          await new Promise((done) => setTimeout(done, 1));
          continue;
        }
        assert.equal(++owners, 1);
        had++;
        await new Promise((done) => setTimeout(done, 0));
        owners--;
        await lock.remove();
        await lock.remove();
        round++;
      }
    };
    await Promise.all(Array.from({ length: 6 }, take));
    assert.equal(had, 120);
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  }));

Deno.test("lock of a killed process is free again", () =>
  inTempDir(async (dir) => {
    const path = `${dir}/lock`;
    const script = `import { lockFile } from "${new URL("./mod.ts", import.meta.url)}";
      await lockFile(${JSON.stringify(path)});
      await Deno.stdout.write(new Uint8Array([1]));
      await new Promise((done) => setTimeout(done, 60_000));`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", script],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    assert.equal((await reader.read()).value?.[0], 1);
    await assert.rejects(lockFile(path), { message: new RegExp(`pid ${child.pid}`) });
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
    (await lockFile(path)).release();
  }));

Deno.test("lock in a directory that is not there says so", () =>
  inTempDir((dir) =>
    assert.rejects(lockFile(`${dir}/no/lock`), { message: /lock file .*no\/lock/ })
  ));
