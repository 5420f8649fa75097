/**
 * `deno task compile`: makes one executable of the program. Deno makes it where its base executable can
 * be had; elsewhere, on Linux, it is a file that unpacks Deno and the program once. `--help` has the
 * options.
 *
 * Standard output is the path of what was made.
 *
 * @module
 */

import { dirname, isAbsolute, join } from "node:path";
import { HELP, type Kind, parseArguments } from "./arguments.ts";
import { contents, writeUnpacked } from "./contents.ts";
import { denoArguments, NoBaseError, ROOT, run } from "./deno.ts";
import { CompileError, UsageError } from "./errors.ts";
import { commitOf, writeEntry } from "./stamp.ts";
import { notices, PartsError } from "../parts/mod.ts";
import { unpacking } from "./unpacking.ts";

const say = (stream: { writeSync(bytes: Uint8Array): number }, text: string) =>
  void stream.writeSync(new TextEncoder().encode(text + "\n"));

async function main(args: string[]): Promise<number> {
  const { help, output, target, kind } = parseArguments(args);
  if (help) {
    say(Deno.stdout, HELP.trimEnd());
    return 0;
  }
  // A task runs in the clone wherever it was called.
  const here = Deno.env.get("INIT_CWD") ?? Deno.cwd();
  const path = output === undefined
    ? join(ROOT, "nexd")
    : isAbsolute(output)
    ? output
    : join(here, output);
  say(Deno.stderr, `Compiling nexd for ${target ?? Deno.build.target}`);
  try {
    await make(path, target, kind);
  } catch (error) {
    if (!(error instanceof CompileError || error instanceof PartsError)) throw error;
    say(Deno.stderr, `compile: ${error.message}`);
    return 1;
  }
  say(Deno.stdout, path);
  return 0;
}

async function make(path: string, target: string | undefined, kind: Kind | undefined) {
  if (kind === "compiled" || kind === undefined) {
    try {
      return await compile(path, target);
    } catch (error) {
      const canUnpack = Deno.build.os === "linux" &&
        (target ?? Deno.build.target) === Deno.build.target;
      if (!(error instanceof NoBaseError) || kind !== undefined || !canUnpack) throw error;
      say(
        Deno.stderr,
        "Deno's base executable cannot be had: making one that unpacks itself instead",
      );
    }
  }
  if (Deno.build.os !== "linux") {
    throw new CompileError(
      `Cannot compile: --kind ${kind} is for Linux, and this is ${Deno.build.os}`,
    );
  }
  if ((target ?? Deno.build.target) !== Deno.build.target) {
    throw new CompileError(
      `Cannot compile: --kind ${kind} has this machine's Deno inside; run it on ${target}`,
    );
  }
  const files = await contents();
  if (kind === "unpacked") {
    try {
      writeUnpacked(path, files);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      throw new CompileError(`Cannot compile: ${path} is there already; remove it`);
    }
    return;
  }
  Deno.mkdirSync(dirname(path), { recursive: true });
  // Never half an executable under its name.
  const made = `${path}.new-${Deno.pid}`;
  Deno.writeFileSync(made, unpacking(files));
  Deno.chmodSync(made, 0o755);
  Deno.renameSync(made, path);
}

async function compile(path: string, target: string | undefined): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "nexd-compile-" });
  try {
    const entry = writeEntry(dir, await commitOf(), await notices());
    // Deno writes over nothing but its own executables.
    const windows = (target ?? Deno.build.target).includes("windows") && !path.endsWith(".exe");
    const made = `${path}.new-${Deno.pid}${windows ? ".exe" : ""}`;
    await run(Deno.execPath(), denoArguments(entry, made, target));
    Deno.renameSync(made, `${path}${windows ? ".exe" : ""}`);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    say(Deno.stderr, `compile: ${error.message}`);
    Deno.exit(2);
  }
}
