import { playPage } from "../../scripts/documents/mod.ts";

Deno.test("README.md has commands that work in their order", () => playPage("README.md"));
