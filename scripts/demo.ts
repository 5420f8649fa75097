/**
 * `deno task demo`: two hosts behind symmetric NATs reach each other through the relay, on one
 * machine, with real WireGuard. `--help` has the options.
 *
 * With `--json` standard output holds one object, `{"ok":false,"error":…}` when the demo does not come
 * to its course.
 *
 * @module
 */

import { type DemoArguments, HELP, parseArguments, UsageError } from "./demo/arguments.ts";
import { setUp } from "./setup/mod.ts";

const say = (stream: { writeSync(bytes: Uint8Array): number }, text: string) =>
  void stream.writeSync(new TextEncoder().encode(text + "\n"));

async function main(args: DemoArguments): Promise<number> {
  if (args.help) {
    say(Deno.stdout, HELP.trimEnd());
    return 0;
  }
  // Only now is there a machine on which the rest can be loaded.
  if (args.end === undefined) {
    await setUp((line) => say(args.json ? Deno.stderr : Deno.stdout, `set-up: ${line}`));
  }
  const { endLab, runDemo } = await import("./demo/mod.ts");
  if (args.end === undefined) return await runDemo(args);
  await endLab(args.end);
  return 0;
}

if (import.meta.main) {
  let args: DemoArguments | undefined;
  try {
    args = parseArguments(Deno.args);
    Deno.exit(await main(args));
  } catch (error) {
    const { message, exitCode } = error as Error & { exitCode?: number };
    if (args?.json) say(Deno.stdout, JSON.stringify({ ok: false, error: message }));
    else if (exitCode === undefined) throw error;
    else say(Deno.stderr, (error instanceof UsageError ? "demo: " : "") + message);
    Deno.exit(exitCode ?? 1);
  }
}
