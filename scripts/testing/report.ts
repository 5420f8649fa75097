/** Reads what `deno test --junit-path` writes. */

/** Passed and failed tests of a JUnit report. */
export function countTests(junit: string): { passed: number; failed: number } {
  const suites = junit.match(/<testsuites\b[^>]*>/)?.[0] ?? "";
  const number = (name: string) =>
    Number(suites.match(new RegExp(`\\b${name}="(\\d+)"`))?.[1] ?? 0);
  const failed = number("failures") + number("errors");
  return { passed: number("tests") - failed - (junit.match(/<skipped\b/g)?.length ?? 0), failed };
}

/** How long the tests of each file of a JUnit report took, in s, without the loading of the file. */
export function fileTimes(junit: string): Map<string, number> {
  const times = new Map<string, number>();
  for (
    const [, name, cases] of junit.matchAll(/<testsuite name="([^"]*)"[^>]*>(.*?)<\/testsuite>/gs)
  ) {
    // A step's time is in its test's.
    const own = [...cases!.matchAll(/<testcase name="([^"]*)"[^>]*? time="([\d.]+)"/g)]
      .filter(([, test]) => !test!.includes(" &gt; "));
    const seconds = own.reduce((sum, [, , time]) => sum + Number(time), 0);
    const path = name!.replace(/^\.\//, "");
    times.set(path, (times.get(path) ?? 0) + seconds);
  }
  return times;
}

/** The lines that tell which files took longest. */
export function slowest(times: ReadonlyMap<string, number>, count: number): string[] {
  return [...times].sort(([, a], [, b]) => b - a).slice(0, count)
    .map(([path, seconds]) => `${seconds.toFixed(1).padStart(7)} s  ${path}`);
}
