import assert from "node:assert/strict";
import { runIpBatch } from "./mod.ts";

const saying = (code: number, stderr: string) => () =>
  Promise.resolve({ code, stdout: "", stderr });

Deno.test("a batch names the lines that ip refused, each with its reason", async () => {
  const stderr = "RTNETLINK answers: File exists\nCommand failed -:1\n" +
    "Error: Invalid prefix for given prefix length.\nCommand failed -:3\n";
  assert.deepEqual(await runIpBatch(["a", "b", "c"], ["-4"], saying(1, stderr)), [
    { line: "a", reason: "File exists" },
    { line: "c", reason: "Invalid prefix for given prefix length." },
  ]);
  assert.deepEqual(await runIpBatch(["a"], [], saying(0, "warning")), []);
  const never = () => Promise.reject(new Error("there is nothing to run"));
  assert.deepEqual(await runIpBatch([], [], never), []);
});

Deno.test("a batch that no line of was run counts as refused, all of it", async () => {
  const other = saying(1, "ip: invalid argument '-force' to 'ip'\nusage\n");
  assert.deepEqual(
    await runIpBatch(["a", "b"], [], other),
    ["a", "b"].map((line) => ({ line, reason: "ip: invalid argument '-force' to 'ip'" })),
  );
});
