import { playPage } from "../../scripts/documents/mod.ts";

Deno.test("docs/client.md has commands that work in their order", () => playPage("docs/client.md"));
