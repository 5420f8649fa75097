import { equal } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotLab } from "../scripts/lab/support.ts";

Deno.test("routing leaves a host as it was when agents share it, peers go, interfaces go, and agents crash", async () => {
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts: 1, nat: "cone" });
  const script = fileURLToPath(new URL("./routing_host.ts", import.meta.url));
  const { code, stdout, stderr } = await lab.host("a").run(
    [Deno.execPath(), "run", "-A", script, `${lab.dir}/run`],
    { env: { NO_COLOR: "1" }, timeoutMs: 40_000 },
  );
  equal(code, 0, stderr);
  equal(stdout, "done\n");
});
