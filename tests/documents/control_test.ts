import { deepEqual } from "node:assert/strict";
import { playPage } from "../../scripts/documents/mod.ts";
import { until } from "../interop/support.ts";

Deno.test("docs/control.md takes an operator from nothing to a service, an upgrade, a restore and PostgreSQL", async () => {
  await playPage("docs/control.md", async (run) => {
    const devices = async (): Promise<[string, boolean][]> =>
      JSON.parse(await run("control", "nexd device list --output json"))
        .map(({ hostname, online }: { hostname: string; online: boolean }) => [hostname, online]);
    await until(
      "the host to be back after all of it",
      90_000,
      async () => JSON.stringify(await devices()) === JSON.stringify([["a", true]]),
    );
    deepEqual(await devices(), [["a", true]]);
  });
});
