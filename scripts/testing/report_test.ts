import assert from "node:assert/strict";
import { countTests, fileTimes, slowest } from "./mod.ts";

Deno.test("countTests reads the totals when a report has failures and skips", () => {
  const report = `<?xml version="1.0"?>
<testsuites name="deno test" tests="7" failures="2" errors="0" time="0.1">
  <testsuite name="a" tests="7" failures="2"><testcase name="x"><skipped/></testcase></testsuite>
</testsuites>`;
  assert.deepEqual(countTests(report), { passed: 4, failed: 2 });
  assert.deepEqual(countTests(""), { passed: 0, failed: 0 });
});

Deno.test("fileTimes adds up the tests of each file, with steps in their tests", () => {
  const report = `<testsuites name="deno test" tests="4">
    <testsuite name="./a_test.ts" tests="3">
        <testcase name="x" classname="./a_test.ts" time="0.500" line="1"></testcase>
        <testcase name="y" classname="./a_test.ts" time="1.250" line="2"></testcase>
        <testcase name="y &gt; step" classname="./a_test.ts" time="1.000" line="3"></testcase>
    </testsuite>
    <testsuite name="./b_test.ts" tests="1">
        <testcase name="z" classname="./b_test.ts" time="2.000" line="1"><failure/></testcase>
    </testsuite>
</testsuites>`;
  const times = fileTimes(report);
  assert.deepEqual([...times], [["a_test.ts", 1.75], ["b_test.ts", 2]]);
  assert.deepEqual(slowest(times, 1), ["    2.0 s  b_test.ts"]);
  assert.deepEqual([...fileTimes("")], []);
});
