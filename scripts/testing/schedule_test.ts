import assert from "node:assert/strict";
import { capacityOf, type Job, jobsOf, type Kind, NAMED, schedule, SUITES } from "./mod.ts";

const job = (name: string, kind: Kind): Job => ({ name, paths: [], kind });

/** Runs jobs that end one after the other, and tells what ran beside what when each started. */
async function besides(jobs: Job[], capacity: number): Promise<string[]> {
  const running = new Map<string, () => void>();
  const seen: string[] = [];
  const whole = schedule(jobs, ({ name }) => {
    seen.push([...running.keys(), name].join(""));
    return new Promise((resolve) => running.set(name, resolve));
  }, capacity);
  while (running.size > 0) {
    const [[name, end]] = running as unknown as [[string, () => void]];
    running.delete(name);
    end();
    for (let i = 0; i < 10; i++) await Promise.resolve();
  }
  await whole;
  return seen;
}

Deno.test("schedule fills the machine with what fits, and runs alone what wants that", async () => {
  const jobs = [
    job("a", "busy"),
    job("b", "busy"),
    job("c", "alone"),
    job("d", "waiting"),
    job("e", "waiting"),
    job("f", "waiting"),
    job("g", "waiting"),
  ];
  // Two processors: b waits for nobody; d to g go past c, which waits until all have ended.
  assert.deepEqual(await besides(jobs, capacityOf(2)), ["a", "ab", "bd", "de", "def", "efg", "c"]);
  assert.deepEqual(await besides(jobs, capacityOf(1)), ["a", "b", "c", "d", "e", "f", "g"]);
});

Deno.test("schedule starts nothing more when a run throws, and waits for the others", async () => {
  const ended: string[] = [];
  await assert.rejects(
    schedule([job("a", "busy"), job("b", "busy"), job("c", "busy")], async ({ name }) => {
      if (name === "a") throw new Error("broken");
      await new Promise((resolve) => setTimeout(resolve, 5));
      ended.push(name);
    }, 6),
    /broken/,
  );
  assert.deepEqual(ended, ["b"]);
});

Deno.test("every test of the tree is in one job", () => {
  const root = new URL("../../", import.meta.url);
  const { stdout, success } = new Deno.Command("git", {
    args: ["ls-files", "--cached", "--others", "--exclude-standard", "*_test.ts", "*_test.tsx"],
    cwd: root,
  }).outputSync();
  const paths = jobsOf(SUITES).flatMap((job) => job.paths).sort();
  assert.equal(new Set(paths).size, paths.length);
  assert.ok(paths.length > 200);
  if (success) {
    const listed = new TextDecoder().decode(stdout).trim().split("\n").sort();
    assert.deepEqual(paths, listed);
  }
});

Deno.test("every file that a suite names is there", () => {
  const paths = new Set(jobsOf(SUITES).flatMap((job) => job.paths));
  for (const path of NAMED) {
    const found = path.endsWith("/")
      ? [...paths].some((one) => one.startsWith(path))
      : paths.has(path);
    assert.ok(found, path);
  }
});
