import { playPage } from "../../scripts/documents/mod.ts";

Deno.test("docs/accounts.md has commands that work in their order", () =>
  playPage("docs/accounts.md"));
