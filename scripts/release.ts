/**
 * `deno task release`: checks that the version is agreed on, and makes what lies beside executables
 * and packages in a release. It runs anywhere; the workflow calls just this. `--help` has the options.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  agreedVersion,
  billOfMaterials,
  missingTargets,
  ReleaseError,
  stampInstaller,
  sumFiles,
  sumList,
  SUMS,
} from "./release/mod.ts";
import { graphs, licenseIn, PartsError } from "./parts/mod.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

const HELP = `Makes what lies beside executables and packages in a release.

Usage: deno task release [--tag TAG]
       deno task release --dist DIR --repository URL [--tag TAG] [--partial]

Without --dist it only checks that deno.json, CHANGELOG.md and TAG have one version.

  --dist DIR         executables (nexd-TARGET) and packages; it gets nexd.cdx.json,
                     install.sh and SHA256SUMS
  --repository URL   where people find it, such as https://github.com/OWNER/nexd
  --tag TAG          the release's tag, such as v0.1.0
  --notes FILE       write the change log's entry there
  --partial          executables may be missing (to try it out)
  --help             this text
`;

/** What is to be done. */
export interface ReleaseArguments {
  help: boolean;
  partial: boolean;
  dist?: string;
  repository?: string;
  tag?: string;
  notes?: string;
}

/**
 * Reads the command line.
 *
 * @throws {ReleaseError} naming what is wrong
 */
export function parseArguments(args: string[]): ReleaseArguments {
  const text = { type: "string" } as const;
  const no = { type: "boolean", default: false } as const;
  let values: ReleaseArguments;
  try {
    const options = { help: no, partial: no, dist: text, repository: text, tag: text, notes: text };
    values = parseArgs({ args, options }).values;
  } catch (error) {
    throw new ReleaseError(`${(error as Error).message.split(/\. |\n/)[0]}; see --help`, 2);
  }
  const empty = Object.entries(values).find(([, value]) => value === "");
  if (empty !== undefined) throw new ReleaseError(`--${empty[0]} takes a value; see --help`, 2);
  const { repository, dist } = values;
  if (repository !== undefined && !/^https:\/\/[\w.-]+(\/[\w.-]+)+$/.test(repository)) {
    throw new ReleaseError(`"${repository}" is no URL such as https://github.com/OWNER/nexd`, 2);
  }
  if ((dist === undefined) !== (repository === undefined)) {
    throw new ReleaseError("--dist and --repository belong together; see --help", 2);
  }
  return values;
}

/** Makes the files; returns their names. */
async function make(dist: string, repository: string, partial: boolean): Promise<string[]> {
  const missing = missingTargets([...Deno.readDirSync(dist)].map(({ name }) => name));
  if (missing.length > 0 && !partial) {
    throw new ReleaseError(`${dist} has no executable for ${missing.join(", ")}; compile them`);
  }
  const read = (path: string) => Deno.readTextFileSync(`${ROOT}${path}`);
  const bill = await billOfMaterials({
    config: read("deno.json"),
    lock: read("deno.lock"),
    graphs: await graphs(),
    deno: Deno.version.deno,
    license: licenseIn,
  });
  Deno.writeTextFileSync(`${dist}/nexd.cdx.json`, bill);
  const installer = stampInstaller(read("install.sh"), repository);
  Deno.writeTextFileSync(`${dist}/install.sh`, installer, { mode: 0o755 });
  const files = await sumFiles(dist);
  Deno.writeTextFileSync(`${dist}/${SUMS}`, sumList(files));
  return [...files.map(({ name }) => name), SUMS];
}

const say = (stream: { writeSync(bytes: Uint8Array): number }, text: string) =>
  void stream.writeSync(new TextEncoder().encode(`${text}\n`));

async function main(args: string[]): Promise<number> {
  try {
    const { help, dist, repository, tag, notes, partial } = parseArguments(args);
    if (help) {
      say(Deno.stdout, HELP.trimEnd());
      return 0;
    }
    // A task runs in the clone wherever it was called.
    const here = Deno.env.get("INIT_CWD") ?? Deno.cwd();
    const at = (path: string) => isAbsolute(path) ? path : join(here, path);
    const read = (path: string) => Deno.readTextFileSync(`${ROOT}${path}`);
    const entry = agreedVersion(read("deno.json"), read("CHANGELOG.md"), tag);
    say(Deno.stdout, `Version ${entry.version}, ${entry.date ?? "not released yet"}`);
    if (notes !== undefined) Deno.writeTextFileSync(at(notes), `${entry.text}\n`);
    if (dist !== undefined && repository !== undefined) {
      const made = await make(at(dist), repository, partial);
      say(Deno.stdout, made.join("\n"));
    }
    return 0;
  } catch (error) {
    if (error instanceof ReleaseError) {
      say(Deno.stderr, `release: ${error.message}`);
      return error.exitCode;
    }
    if (
      error instanceof PartsError || error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.PermissionDenied
    ) {
      say(Deno.stderr, `release: ${error.message}`);
      return 1;
    }
    throw error;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
