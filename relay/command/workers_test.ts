import assert from "node:assert/strict";
import type { Settings } from "./settings.ts";
import { workersFor } from "./workers.ts";

const self = { executable: Deno.execPath(), module: undefined };
const settings = (workers?: number) => ({ workers, dev: false }) as unknown as Settings;

Deno.test("a relay has a worker a core on Linux, and serves in one process elsewhere", () => {
  const cores = navigator.hardwareConcurrency;
  assert.equal(workersFor(settings(), {}, self, "linux")?.count ?? 1, cores);
  assert.equal(workersFor(settings(3), {}, self, "linux")?.count, 3);
  for (const os of ["darwin", "windows"] as const) {
    assert.equal(workersFor(settings(), {}, self, os), undefined);
    assert.throws(() => workersFor(settings(3), {}, self, os), {
      exitCode: 2,
      message: new RegExp(`--workers 3: several processes need Linux and this is ${os}`),
    });
  }
});
