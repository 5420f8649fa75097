import assert from "node:assert/strict";

Deno.test("errors of a service go to a file that begins anew when it is full", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const log = `${dir}/nexd.log`;
    // A process of its own: where errors go is the whole process' matter.
    const script = `
      import { errorsToFile, writeError } from "${new URL("./stderr.ts", import.meta.url)}";
      errorsToFile(${JSON.stringify(log)}, 20);
      for (let i = 0; i < 5; i++) writeError("line " + i + "\\n");`;
    const run = () => new Deno.Command(Deno.execPath(), { args: ["eval", script] }).output();
    const { code, stderr } = await run();
    assert.deepEqual([code, stderr.length], [0, 0]);
    assert.equal(await Deno.readTextFile(log), "line 4\n");
    assert.equal(await Deno.readTextFile(`${log}.1`), "line 2\nline 3\n");
    if (Deno.build.os !== "windows") assert.equal((await Deno.stat(log)).mode! & 0o777, 0o600);
    await run();
    assert.equal(await Deno.readTextFile(log), "line 3\nline 4\n");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("service-run takes words and variables of its file, and its errors to the log", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const file = `${dir}/nexd.json`, log = `${dir}/nexd.log`;
    const run = async (words: string[]) => {
      const variables = { NEXD_UNIX_SOCK: `${dir}/none.sock` };
      await Deno.writeTextFile(file, JSON.stringify({ words, variables, log }));
      const main = new URL("../main.ts", import.meta.url).href;
      return await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", "-q", main, "service-run", file],
      }).output();
    };
    const good = await run(["version"]);
    assert.deepEqual([good.code, new TextDecoder().decode(good.stdout).length > 3], [0, true]);
    const bad = await run(["--nope"]);
    assert.equal(bad.code, 2);
    assert.equal(bad.stderr.length, 0);
    assert.match(await Deno.readTextFile(log), /^nexd: unknown option '--nope'/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
