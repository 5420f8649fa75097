import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import fc from "fast-check";
import { AllowFile } from "./allow_file.ts";
import { KeyList } from "./key_list.ts";
import { readKey } from "./keys.ts";
import { newKey, scratch, until } from "./testing.ts";

Deno.test("a key is read in each of its spellings and in no other", () => {
  const { key, hex } = newKey();
  for (const text of [hex, hex.toUpperCase(), `nodekey:${hex}`, key.toBase64()]) {
    equal(readKey(text), hex);
  }
  const odd = ["", "nodekey:", `privkey:${hex}`, hex.slice(1), `${hex}0`, key.toBase64().slice(1)];
  // Keys of low order prove nothing: anybody can log in with them.
  odd.push("00".repeat(32), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
  for (const text of odd) equal(readKey(text), undefined, text);
  fc.assert(fc.property(fc.string(), (text) => {
    const read = readKey(text);
    ok(read === undefined || /^[0-9a-f]{64}$/.test(read));
  }));
});

Deno.test("an allow-list has the keys of its file, with comments and empty lines", async () => {
  await using dir = await scratch();
  const path = `${dir.path}/allowed`;
  const [a, b, c, d] = [newKey(), newKey(), newKey(), newKey()];
  const comment = `# ${"x".repeat(5000)}`;
  const lines = [
    "# clients",
    "",
    `nodekey:${a.hex} # alice\r`,
    `  ${b.hex.toUpperCase()}`,
    comment,
  ];
  await Deno.writeTextFile(path, [...lines, `${c.key.toBase64()}#carol`].join("\n"));
  const file = await AllowFile.open(path);
  try {
    deepEqual([a, b, c, d].map(({ hex }) => file.has(hex)), [true, true, true, false]);
    equal(file.describe(), `allow-list ${path} (3 keys)`);
  } finally {
    await file.close();
  }
});

Deno.test("an allow-list that cannot be used says where and why when the relay starts", async () => {
  await using dir = await scratch();
  const path = `${dir.path}/allowed`;
  await rejects(AllowFile.open(path), { exitCode: 1, message: /there is no such file/ });
  await rejects(AllowFile.open(dir.path), { message: /it is no file/ });
  for (
    const bad of ["what", "privkey:" + "ab".repeat(32), "x".repeat(5000), " ".repeat(5000) + "x"]
  ) {
    await Deno.writeTextFile(path, `# one\n${newKey().hex}\n${bad}\n`);
    const error = await AllowFile.open(path).catch((error) => error);
    match(error.message, /allowed: line 3 is no public key; write nodekey:/);
    ok(!error.message.includes("abab"), "a line may be a secret");
  }
});

Deno.test("an allow-list follows its file, replaced or rewritten, and tells whom it lost", async () => {
  await using dir = await scratch();
  const path = `${dir.path}/allowed`;
  const [a, b, c] = [newKey().hex, newKey().hex, newKey().hex];
  await Deno.writeTextFile(path, `${a}\n${b}\n`);
  const file = await AllowFile.open(path);
  const removed: string[] = [];
  file.onRemoved = (keys) => removed.push(...keys);
  try {
    await Deno.writeTextFile(`${path}.new`, `${b}\n${c}\n`);
    await Deno.rename(`${path}.new`, path);
    await until(() => file.has(c), "the new file");
    deepEqual([file.has(a), removed], [false, [a]]);
    await Deno.writeTextFile(path, `${a}\n`);
    await until(() => file.has(a), "the rewritten file");
    deepEqual(removed.sort(), [a, b, c].sort());
  } finally {
    await file.close();
  }
});

Deno.test("an allow-list that goes bad or away stays as it was and says so", async () => {
  await using dir = await scratch();
  const path = `${dir.path}/allowed`;
  const { hex } = newKey();
  await Deno.writeTextFile(path, hex);
  const file = await AllowFile.open(path, { lookMs: 20 });
  let removed = 0;
  file.onRemoved = (keys) => removed += keys.length;
  try {
    await Deno.writeTextFile(path, "nonsense");
    await file.reload();
    match(file.describe(), /\(1 keys, not read again: .*: line 1 is no public key/);
    await Deno.remove(path);
    await until(() => /no such file|nothing/.test(file.describe()), "the missing file");
    deepEqual([file.has(hex), removed], [true, 0]);
    const next = newKey().hex;
    await Deno.writeTextFile(path, next);
    await until(() => file.has(next), "the file that came back");
    deepEqual([file.has(hex), removed], [false, 1]);
    equal(file.describe(), `allow-list ${path} (1 keys)`);
  } finally {
    await file.close();
  }
});

Deno.test("a list of devices admits nobody before it is given, and is kept for the next start", async () => {
  await using dir = await scratch();
  const path = `${dir.path}/devices.json`;
  const [a, b, c] = [newKey().hex, newKey().hex, newKey().hex];
  const first = await KeyList.open(path);
  const removed: string[] = [];
  first.onRemoved = (keys) => removed.push(...keys);
  equal(first.has(a), false);
  match(first.describe(), /nobody/);
  first.set([a, b, "rubbish", "00".repeat(32)]);
  deepEqual([first.has(a), first.has(b)], [true, true]);
  first.set([b, c]);
  deepEqual([first.has(a), removed], [false, [a]]);
  await first.close();
  if (Deno.build.os !== "windows") equal((await Deno.stat(path)).mode! & 0o777, 0o600);

  const second = await KeyList.open(path);
  const gone: string[] = [];
  second.onRemoved = (keys) => gone.push(...keys);
  deepEqual([a, b, c].map((key) => second.has(key)), [false, true, true]);
  match(second.describe(), /\(2, from the last run\)/);
  // The first list of this run is compared with the cached one.
  second.set([c]);
  deepEqual(gone, [b]);
  second.set([]);
  deepEqual(gone, [b, c]);
  await second.close();
  equal(JSON.parse(await Deno.readTextFile(path)).keys.length, 0);
  deepEqual([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["devices.json"]);
});

Deno.test("a cached list that is damaged admits nobody and stops nothing", async () => {
  await using dir = await scratch();
  const path = `${dir.path}/devices.json`;
  const key = newKey().hex;
  for (
    const text of [
      "",
      "{",
      "null",
      "[]",
      `{"version":2,"keys":["${key}"]}`,
      '{"version":1}',
      `{"version":1,"keys":["${key}","x"]}`,
      `{"version":1,"keys":["${key}",{}]}`,
    ]
  ) {
    await Deno.writeTextFile(path, text);
    const list = await KeyList.open(path);
    equal(list.has(key), false, text);
    match(list.describe(), /nobody/);
    list.set([key]);
    ok(list.has(key));
    await list.close();
    equal(JSON.parse(await Deno.readTextFile(path)).version, 1);
  }
});

Deno.test("a list whose cache cannot be written still works", async () => {
  await using dir = await scratch();
  const list = await KeyList.open(`${dir.path}/missing/devices.json`);
  const { hex } = newKey();
  list.set([hex]);
  await list.close();
  ok(list.has(hex));
});
