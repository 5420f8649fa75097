import assert from "node:assert/strict";
import { denoArguments, explainFailure, parseArguments, UsageError } from "./compile.ts";

Deno.test("compile takes an output and a target and nothing else", () => {
  assert.equal(parseArguments([]).output, undefined);
  const { output, target } = parseArguments(["-o", "bin/nexd", "--target=aarch64-apple-darwin"]);
  assert.deepEqual([output, target], ["bin/nexd", "aarch64-apple-darwin"]);
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
    ] as const
  ) {
    assert.throws(() => parseArguments([...args]), new UsageError(words));
  }
});

Deno.test("compile grants every permission and passes the target through", () => {
  const args = denoArguments("/bin/nexd", "aarch64-apple-darwin");
  assert.equal(args[0], "compile");
  assert.ok(args.includes("-A") && !args.some((arg) => arg.startsWith("--v8-flags")));
  assert.equal(args[args.indexOf("--output") + 1], "/bin/nexd");
  assert.equal(args[args.indexOf("--target") + 1], "aarch64-apple-darwin");
  assert.ok(args.at(-1)!.endsWith("/main.ts"));
  assert.ok(!denoArguments("/bin/nexd").includes("--target"));
});

Deno.test("compile names what cannot be downloaded and both remedies", () => {
  const text = explainFailure(`error: Writing deno compile executable to temporary file 'nexd.tmp-1'

Caused by:
    0: Setting up base binary.
    1: error sending request for url (https://host.test/release/v2/denort-x86_64.zip): client error
    2: dns error

Stack backtrace:
   0: <unknown>
`);
  assert.match(
    text,
    /had from https:\/\/host\.test\/release\/v2\/denort-x86_64\.zip \(dns error\);/,
  );
  assert.match(text, /run this where it can be downloaded, or set DENORT_BIN/);
  assert.doesNotMatch(text, /\n/);
});

Deno.test("compile repeats Deno in one line when something else is wrong", () => {
  assert.match(
    explainFailure("error: Writing\n\nCaused by:\n    0: Could not find denort at '/x/denort'\n"),
    /no base executable at \/x\/denort; set DENORT_BIN .* or unset it$/,
  );
  assert.equal(
    explainFailure("error: Writing 'nexd'\n\nCaused by:\n    Permission denied (os error 13)\n"),
    "Cannot compile: Writing 'nexd'; Permission denied (os error 13)",
  );
  assert.equal(explainFailure(""), "Cannot compile: Deno ended without a word");
});

Deno.test("compile makes an executable when there is a base executable", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    // Deno itself stands in for its base executable: it can be written to, though what comes of it does not run nexd.
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", new URL("./compile.ts", import.meta.url).pathname, "-o", `${dir}/nexd`],
      env: { NO_COLOR: "1", DENORT_BIN: Deno.execPath() },
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.equal(new TextDecoder().decode(stdout), `${dir}/nexd\n`);
    assert.ok(Deno.statSync(`${dir}/nexd`).size > Deno.statSync(Deno.execPath()).size);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
