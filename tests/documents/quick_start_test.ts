import { playPage } from "../../scripts/documents/mod.ts";

Deno.test("docs/quick-start.md has commands that work in their order", () =>
  playPage("docs/quick-start.md"));
