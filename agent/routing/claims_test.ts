import { deepEqual, equal, throws } from "node:assert/strict";
import { Claims } from "./claims.ts";

/** A directory for the record, and a file that stands for a setting of the kernel. */
async function inDir(test: (dir: string, setting: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/setting`, "0\n");
    await test(`${dir}/run`, `${dir}/setting`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
const read = async (path: string) => (await Deno.readTextFile(path)).trim();

Deno.test("claims give each interface a number of its own, the same one after a crash", async () => {
  await inDir(async (dir) => {
    const claims = ["wg0", "wg1", "wg2"].map((name) => new Claims(name, dir));
    deepEqual(await Promise.all(claims.map((one) => one.slot())).then((n) => n.sort()), [0, 1, 2]);
    const number = await claims[1]!.slot();
    equal(await new Claims("wg1", dir).recorded(), number);
    await claims[1]!.freeSlot();
    equal(await claims[1]!.recorded(), undefined);
    equal(await new Claims("wg9", dir).slot(), number);
  });
});

Deno.test("claims put a setting back when the last interface that wants it goes", async () => {
  await inDir(async (dir, setting) => {
    const one = new Claims("wg0", dir), other = new Claims("wg1", dir);
    await one.set(setting, "1");
    await other.set(setting, "1");
    await one.putBack();
    equal(await read(setting), "1");
    await other.putBack();
    equal(await read(setting), "0");
    await other.putBack();
    throws(() => Deno.statSync(dir), Deno.errors.NotFound);
  });
});

Deno.test("claims of agents that come and go at the same time are all kept, and then nothing is", async () => {
  await inDir(async (dir, setting) => {
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const claims = new Claims(`wg${i}`, dir);
        for (let round = 0; round < 10; round++) {
          const slot = await claims.slot();
          await claims.set(setting, "1");
          equal(await claims.recorded(), slot);
          equal(await read(setting), "1");
          await claims.putBack();
          await claims.freeSlot();
        }
      }),
    );
    equal(await read(setting), "0");
    throws(() => Deno.statSync(dir), Deno.errors.NotFound);
  });
});

Deno.test("claims put a setting back after a crash, and not when somebody else has changed it", async () => {
  await inDir(async (dir, setting) => {
    await new Claims("wg0", dir).set(setting, "1");
    await new Claims("wg0", dir).putBack();
    equal(await read(setting), "0");
    await new Claims("wg0", dir).set(setting, "1");
    await Deno.writeTextFile(setting, "2");
    await new Claims("wg0", dir).putBack();
    equal(await read(setting), "2");
  });
});

Deno.test("claims leave a setting alone that was right before, and survive a damaged record", async () => {
  await inDir(async (dir, setting) => {
    await Deno.writeTextFile(setting, "1");
    const claims = new Claims("wg0", dir);
    await claims.set(setting, "1");
    const [record] = [...Deno.readDirSync(dir)].filter(({ name }) => name.endsWith(".json"));
    await claims.putBack();
    equal(await read(setting), "1");
    await Deno.mkdir(dir);
    await Deno.writeTextFile(`${dir}/${record!.name}`, '{"slots":');
    equal(await claims.slot(), 0);
  });
});
