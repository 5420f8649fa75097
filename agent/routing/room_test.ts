import { rejects } from "node:assert/strict";
import { routing } from "./mod.ts";

Deno.test("an exit node cannot be switched once the agent ends: no pass would do it", async () => {
  const runDir = await Deno.makeTempDir();
  try {
    const room = routing({ interfaceName: "wg0", mode: "agent", exitNodeClient: true, runDir });
    await room.close();
    const began = performance.now();
    await rejects(room.setExitNodeClient(false), /nexd is ending/);
    if (performance.now() - began > 1_000) throw new Error("it waited for a pass");
  } finally {
    await Deno.remove(runDir, { recursive: true });
  }
});
