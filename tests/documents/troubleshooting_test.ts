import { playPage } from "../../scripts/documents/mod.ts";

Deno.test("docs/troubleshooting.md has commands that work in their order", () =>
  playPage("docs/troubleshooting.md"));
