import assert from "node:assert/strict";
import config from "../../../deno.json" with { type: "json" };
import { RUN } from "./install.ts";

Deno.test("a service is started as `deno task agent` starts the agent, and asks nobody", () => {
  const [, ...words] = config.tasks.agent.split(" ");
  assert.deepEqual(RUN.filter((word) => word !== "--no-prompt"), words.slice(0, -1));
  assert.ok(RUN.includes("--no-prompt"));
});
