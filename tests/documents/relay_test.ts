import { playPage } from "../../scripts/documents/mod.ts";

Deno.test("docs/relay.md has commands that work in their order", () => playPage("docs/relay.md"));
