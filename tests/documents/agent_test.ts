import { playPage } from "../../scripts/documents/mod.ts";

Deno.test("docs/agent.md has commands that work in their order", () => playPage("docs/agent.md"));
