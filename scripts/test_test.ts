import assert from "node:assert/strict";
import { countTests } from "./test.ts";

Deno.test("countTests reads the totals when a report has failures and skips", () => {
  const report = `<?xml version="1.0"?>
<testsuites name="deno test" tests="7" failures="2" errors="0" time="0.1">
  <testsuite name="a" tests="7" failures="2"><testcase name="x"><skipped/></testcase></testsuite>
</testsuites>`;
  assert.deepEqual(countTests(report), { passed: 4, failed: 2 });
  assert.deepEqual(countTests(""), { passed: 0, failed: 0 });
});
