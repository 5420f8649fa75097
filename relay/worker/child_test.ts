import { equal, rejects } from "node:assert/strict";
import { ChildWorker, endWaiting, startAhead } from "./child.ts";
import type { WholeRelay, WorkerConfig } from "./config.ts";

const whole: WholeRelay = {
  state: () => Promise.reject(new Error("nobody asks")),
  check: () => Promise.resolve([]),
};

/** A worker that says it has started, then does what the shell is told. */
function start(then: string): Promise<ChildWorker> {
  const hello = JSON.stringify({ id: 1, result: { hostname: "", port: 1 } });
  const command = { executable: "/bin/sh", args: ["-c", `read line; echo '${hello}'; ${then}`] };
  return ChildWorker.start(command, { name: "w" } as WorkerConfig, whole);
}

Deno.test("a worker that reads nothing any more is killed in the end", async () => {
  const worker = await start("exec sleep 60");
  // More than a pipe holds.
  const stuck = worker.setKeys(Array.from({ length: 10_000 }, () => "0".repeat(64)));
  const outcome = rejects(stuck, /the worker ended/);
  await worker.end();
  await outcome;
  equal(await worker.ended, "signal SIGKILL");
});

Deno.test("a worker started ahead is the one that is told, and ended when nobody wants it", async () => {
  const hello = JSON.stringify({ id: 1, result: { hostname: "", port: 1 } });
  const args = ["-c", `read line || exit 0; echo '${hello}'; read line`];
  const command = startAhead({ executable: "/bin/sh", args }, 2);
  const [unwanted, wanted] = command.waiting!;
  const worker = await ChildWorker.start(command, { name: "w" } as WorkerConfig, whole);
  equal(worker.pid, wanted!.pid);
  await endWaiting(command);
  equal((await unwanted!.status).code, 0);
  equal(command.waiting!.length, 0);
  await worker.end();
});

Deno.test("a worker that ends by itself says how, and fails the calls under way", async () => {
  const worker = await start("read line; exit 3");
  await rejects(worker.check(), /the worker ended/);
  equal(await worker.ended, "exit status 3");
  await rejects(worker.check(), /the worker ended/);
  await worker.end();
});
