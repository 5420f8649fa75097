import { playPage } from "../../scripts/documents/mod.ts";

Deno.test("docs/control-audit.md has commands that work in their order", () =>
  playPage("docs/control-audit.md"));
