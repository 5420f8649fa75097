/** What `deno task test` is made of: which tests there are, what runs beside what, and what it took. */

export { type Job, jobsOf, type Kind, NAMED, type Suite, SUITES } from "./suites.ts";
export { capacityOf, schedule } from "./schedule.ts";
export { countTests, fileTimes, slowest } from "./report.ts";
export { isPortable, portableFiles } from "./portable.ts";
