import { equal, match, notEqual, rejects } from "node:assert/strict";
import { RelayError } from "../errors.ts";
import { makeRunDir, removeRunDir } from "./run_dir.ts";

const publicKey = "ab".repeat(32);

async function inDir(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("makeRunDir gives one private directory to each key and port", async () => {
  await inDir(async (dir) => {
    const base = `${dir}/run`;
    const path = await makeRunDir({ base, publicKey, port: 443 });
    equal(path, `${base}/${"ab".repeat(8)}-443`);
    equal((await Deno.stat(path)).mode! & 0o777, 0o700);
    equal((await Deno.stat(base)).mode! & 0o777, 0o700);
    equal(await makeRunDir({ base, publicKey, port: 443 }), path);
    notEqual(await makeRunDir({ base, publicKey, port: 444 }), path);
    equal([...Deno.readDirSync(path)].length, 0, "nothing is left in it");
    await Deno.chmod(path, 0o755);
    await makeRunDir({ base, publicKey, port: 443 });
    equal((await Deno.stat(path)).mode! & 0o777, 0o700, "an open one is closed");
    await Deno.writeTextFile(`${path}/x`, "");
    await removeRunDir(path);
    equal((await Deno.stat(path)).isDirectory, true, "one in use stays");
    await Deno.remove(`${path}/x`);
    await removeRunDir(path);
    await rejects(Deno.stat(path), Deno.errors.NotFound);
    equal((await Deno.stat(base)).isDirectory, true, "a place that was chosen stays");
    const place = `${dir}/nexd`;
    const [one, two] = [443, 444].map((port) => makeRunDir({ base: place, publicKey, port }));
    await removeRunDir(await one!);
    await removeRunDir(await two!);
    await rejects(Deno.stat(place), Deno.errors.NotFound);
  });
});

Deno.test("makeRunDir refuses what is not a private directory of this user", async () => {
  await inDir(async (dir) => {
    const refused = async (base: string, pattern: RegExp) => {
      await rejects(makeRunDir({ base, publicKey, port: 1 }), (error) => {
        equal((error as RelayError).exitCode, 1);
        match((error as Error).message, pattern);
        match((error as Error).message, /^Cannot use run directory .*; choose another --run-dir$/);
        return error instanceof RelayError;
      });
    };
    const name = `${"ab".repeat(8)}-1`;
    await Deno.writeTextFile(`${dir}/${name}`, "");
    await refused(dir, /no directory/);
    await Deno.remove(`${dir}/${name}`);
    await Deno.mkdir(`${dir}/elsewhere`);
    await Deno.symlink(`${dir}/elsewhere`, `${dir}/${name}`);
    await refused(dir, /no directory/);
    await refused("/proc/nexd", /nothing can be made there/);
    await refused(`${dir}/${"x".repeat(90)}`, /too long/);
  });
});
