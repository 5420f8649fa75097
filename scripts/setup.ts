/**
 * `deno task setup`: gets this machine ready for the demo and the tests, which do so by themselves as
 * well; see scripts/setup/.
 *
 * @module
 */

import { setUp, SetupError } from "./setup/mod.ts";

const write = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));

if (import.meta.main) {
  try {
    await setUp((line) => write(`set-up: ${line}`), { tests: true });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    write(`set-up: ${error.message}`);
    Deno.exit(error.exitCode);
  }
}
