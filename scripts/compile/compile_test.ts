import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { parseArguments } from "./arguments.ts";
import { lazy, rename } from "./bundle.ts";
import { denoArguments, explainFailure, NoBaseError } from "./deno.ts";
import { UsageError } from "./errors.ts";
import { flagsOf, launchText } from "./launch.ts";

Deno.test("compile takes an output, a target and a kind and nothing else", () => {
  assert.equal(parseArguments([]).output, undefined);
  const { output, target } = parseArguments(["-o", "bin/nexd", "--target=aarch64-apple-darwin"]);
  assert.deepEqual([output, target], ["bin/nexd", "aarch64-apple-darwin"]);
  assert.equal(parseArguments(["--kind", "unpacked"]).kind, "unpacked");
  assert.ok(parseArguments(["--help"]).help);
  for (
    const [args, words] of [
      [["--bogus"], '"--bogus" is not an option of compile; see --help'],
      [["-x"], '"-x" is not an option of compile; see --help'],
      [["main.ts"], '"main.ts" is not an option of compile; see --help'],
      [["--target"], "--target takes a value; see --help"],
      [["--target", "--output", "x"], "--target takes a value; see --help"],
      [["--output="], "--output takes a value; see --help"],
      [["--help=no"], "--help takes no value; see --help"],
      [["--kind=zip"], '--kind takes compiled, unpacking, unpacked, not "zip"'],
    ] as const
  ) {
    assert.throws(() => parseArguments([...args]), new UsageError(words));
  }
});

Deno.test("compile grants every permission and passes the target through", () => {
  const args = denoArguments("/tmp/main.ts", "/bin/nexd", "aarch64-apple-darwin");
  assert.equal(args[0], "compile");
  assert.ok(args.includes("-A") && args.includes("--frozen"));
  assert.equal(args[args.indexOf("--output") + 1], "/bin/nexd");
  assert.equal(args[args.indexOf("--target") + 1], "aarch64-apple-darwin");
  assert.equal(args.at(-1), "/tmp/main.ts");
  assert.ok(!denoArguments("/tmp/main.ts", "/bin/nexd").includes("--target"));
});

Deno.test("compile names what cannot be downloaded and both remedies", () => {
  const error = explainFailure(
    `error: Writing deno compile executable to temporary file 'nexd.tmp-1'

Caused by:
    0: Setting up base binary.
    1: error sending request for url (https://host.test/release/v2/denort-x86_64.zip): client error
    2: dns error

Stack backtrace:
   0: <unknown>
`,
  );
  assert.ok(error instanceof NoBaseError);
  assert.match(
    error.message,
    /had from https:\/\/host\.test\/release\/v2\/denort-x86_64\.zip \(dns error\);/,
  );
  assert.match(error.message, /run this where it can be downloaded, or set DENORT_BIN/);
  assert.doesNotMatch(error.message, /\n/);
});

Deno.test("compile repeats Deno in one line when something else is wrong", () => {
  assert.match(
    explainFailure("error: Writing\n\nCaused by:\n    0: Could not find denort at '/x/denort'\n")
      .message,
    /no base executable at \/x\/denort; set DENORT_BIN .* or unset it$/,
  );
  assert.equal(
    explainFailure("error: Writing 'nexd'\n\nCaused by:\n    Permission denied (os error 13)\n")
      .message,
    "Cannot compile: Writing 'nexd'; Permission denied (os error 13)",
  );
  assert.equal(explainFailure("").message, "Cannot compile: Deno ended without a word");
});

Deno.test("compile makes an executable when there is a base executable", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    // Deno itself stands in for its base executable: it can be written to, though what comes of it does not run nexd.
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", fileURLToPath(new URL("./mod.ts", import.meta.url)), "-o", `${dir}/nexd`],
      env: { NO_COLOR: "1", DENORT_BIN: Deno.execPath() },
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.equal(new TextDecoder().decode(stdout), `${dir}/nexd\n`);
    assert.ok(Deno.statSync(`${dir}/nexd`).size > Deno.statSync(Deno.execPath()).size);
    assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), ["nexd"]);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a bundle's parts are named by what is in them when the bundler named them by paths", () => {
  const made = (a: string, b: string) =>
    rename(
      new Map([
        ["main.js", `import("./mod-${a}.js");import("./mod-${b}.js")`],
        [`mod-${a}.js`, `import"./mod-${b}.js";1`],
        [`mod-${b}.js`, "2"],
      ]),
    );
  const files = made("AAAAAAAA", "BBBBBBBB");
  assert.deepEqual([...files], [...made("ZZZZZZZZ", "CCCCCCCC")]);
  for (const [, name] of [...files.values()].join().matchAll(/"\.\/([^"]*)"/g)) {
    assert.ok(files.has(name!), name);
  }
});

Deno.test("the launcher gives a subcommand just what its task in deno.json gives it", () => {
  const lines = launchText().split("\n");
  const of = (word: string) => lines.find((line) => line.startsWith(word)) ?? assert.fail(word);
  for (const task of ["control", "serve"] as const) {
    for (const flag of flagsOf(task)) assert.ok(of(task).includes(` '${flag}' `), flag);
    assert.doesNotMatch(of(task), / '-A' |--allow-run/);
  }
  assert.match(of("relayderp)"), / "--allow-run=\$nexd_path" /);
  assert.doesNotMatch(of("relayderp-worker)"), /--allow-run|NOTIFY_SOCKET/);
  assert.match(of("*)"), / '-A' /);
});

Deno.test("a part is no part of the start when it is imported later", () => {
  assert.equal(
    lazy('import"./a.js";x=()=>import("./mod-b.js");import("pkg")'),
    'import"./a.js";x=()=>import(["./mod-b.js"][0]);import("pkg")',
  );
});
