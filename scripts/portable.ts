/**
 * `deno task test:portable`: the rooms' own tests that need nothing of Linux, for other systems.
 * Further arguments go to `deno test`; `--list` prints the files.
 *
 * @module
 */

import { portableFiles } from "./testing/mod.ts";

Deno.chdir(new URL("..", import.meta.url));
const files = portableFiles();
if (Deno.args.includes("--list")) {
  Deno.stdout.writeSync(new TextEncoder().encode(`${files.join("\n")}\n`));
} else {
  const args = ["test", "-A", "--no-check", "--quiet", ...Deno.args, ...files];
  const { code } = await new Deno.Command(Deno.execPath(), { args }).spawn().status;
  Deno.exit(code);
}
