import assert from "node:assert/strict";
import { AgentError, type Context, runAgent } from "./mod.ts";

function context(json: boolean): Context & { lines: string[] } {
  const lines: string[] = [];
  return {
    json,
    signal: new AbortController().signal,
    version: "1.0.0",
    print: (line) => lines.push(line),
    lines,
  };
}

Deno.test("agent refuses a wrong command line before it touches anything", async () => {
  await assert.rejects(
    runAgent({ "reg-key": "http://control.lab#RK:x" }, context(false)),
    (error) => error instanceof AgentError && error.exitCode === 2,
  );
});
