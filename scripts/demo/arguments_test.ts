import assert from "node:assert/strict";
import { parseArguments, UsageError } from "./arguments.ts";

Deno.test("parseArguments has two hosts behind symmetric NATs when nothing is said", () => {
  const defaults = { hosts: 2, nat: "symmetric", json: false, keep: false, help: false };
  assert.deepEqual(parseArguments([]), defaults);
  assert.deepEqual(
    parseArguments(["--hosts=16", "--nat", "cone", "--json", "--keep", "--end", "ab12"]),
    { hosts: 16, nat: "cone", json: true, keep: true, help: false, end: "ab12" },
  );
  assert.equal(parseArguments(["--executable", "/opt/nexd"]).executable, "/opt/nexd");
});

Deno.test("parseArguments says in one sentence what is wrong with an argument", () => {
  const cases: [string[], RegExp][] = [
    [["--bogus"], /^--bogus is not an option/],
    [["more"], /^"more" is not an option/],
    [["--hosts", "1"], /from 2 to 16, not "1"/],
    [["--hosts", "17"], /not "17"/],
    [["--hosts", "2.5"], /not "2.5"/],
    [["--hosts", ""], /not ""/],
    [["--nat", "full"], /symmetric, cone or open, not "full"/],
    [["--executable="], /--executable takes a path/],
    [["--hosts"], /--hosts.* missing/],
  ];
  for (const [args, message] of cases) {
    assert.throws(() => parseArguments(args), (error) => {
      assert.ok(error instanceof UsageError && error.exitCode === 2);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  }
});
