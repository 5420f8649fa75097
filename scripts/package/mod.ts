/**
 * `deno task package`: makes what package managers install, from the program's directory with the
 * runtime, the bundle and the launcher. `--help` has the options.
 *
 * @module
 */
import { isAbsolute, join } from "node:path";
import { parseArgs } from "node:util";
import { formula, readChecksums } from "./brew.ts";
import { makeDeb } from "./deb.ts";
import { PackageError } from "./errors.ts";
import { type Executable, makeExecutable, readExecutable } from "./executable.ts";
import { type Facts, machineOf, readEpoch, ROOT, VERSION } from "./facts.ts";
import { makeImage } from "./oci.ts";
import { makeRpm } from "./rpm.ts";
import { windowsFiles } from "./windows.ts";

const FORMATS = ["deb", "rpm", "oci", "brew", "windows"] as const;
/** What can be made. */
export type PackageFormat = typeof FORMATS[number];

/** What to make, of what, where. */
export interface PackageArguments {
  help: boolean;
  json: boolean;
  quick: boolean;
  formats: PackageFormat[];
  executable?: string;
  output: string;
  checksums?: string;
  baseUrl?: string;
}

const HELP = `Makes packages of nexd.

Usage: deno task package --format FORMAT [options]

  --format FORMAT      deb, rpm, oci (a container image), brew (a formula) or windows (a task and
                       scripts); repeat it for more
  --executable DIR     the unpacked program (default: it is made for this machine)
  --output DIR, -o     where the packages go (default dist, in the clone)
  --checksums FILE     brew: the release's SHA256SUMS
  --base-url URL       brew: where the release's files are
  --quick              compress little: for tests
  --json               print one object a package
  --help               this text

SOURCE_DATE_EPOCH (seconds) dates everything; without it, the commit's time does.
`;

/**
 * Reads the command line.
 *
 * @throws {PackageError} naming what is wrong
 */
export function parseArguments(args: string[]): PackageArguments {
  const string = { type: "string" } as const, flag = { type: "boolean", default: false } as const;
  let values;
  try {
    values = parseArgs({
      args,
      options: {
        format: { type: "string", multiple: true, default: [] as string[] },
        executable: string,
        output: { type: "string", short: "o", default: `${ROOT}dist` },
        checksums: string,
        "base-url": string,
        quick: flag,
        json: flag,
        help: { ...flag, short: "h" },
      },
    }).values;
  } catch (error) {
    throw new PackageError(`${(error as Error).message.split(". ")[0]}; see --help`, 2);
  }
  const { format, executable, checksums, help, "base-url": baseUrl, ...rest } = values;
  const formats = format.map((name) => {
    const known = FORMATS.find((one) => one === name);
    if (known !== undefined) return known;
    throw new PackageError(`--format ${name}: choose ${FORMATS.join(", ")}`, 2);
  });
  if (formats.length === 0 && !help) {
    throw new PackageError(`--format is missing: choose ${FORMATS.join(", ")}`, 2);
  }
  if (formats.includes("brew") && (checksums === undefined || baseUrl === undefined)) {
    throw new PackageError("--format brew needs --checksums FILE and --base-url URL", 2);
  }
  return {
    ...rest,
    help,
    formats: [...new Set(formats)],
    ...(executable === undefined ? {} : { executable }),
    ...(checksums === undefined ? {} : { checksums }),
    ...(baseUrl === undefined ? {} : { baseUrl }),
  };
}

/**
 * Makes packages; returns the path of each.
 *
 * @throws {PackageError} when one cannot be made
 */
export async function makePackages(
  { formats, executable: given, output, checksums, baseUrl, quick }: PackageArguments,
): Promise<{ format: PackageFormat; path: string }[]> {
  await Deno.mkdir(output, { recursive: true });
  const work = await Deno.makeTempDir({ prefix: "nexd-package-" });
  const made: { format: PackageFormat; path: string }[] = [];
  try {
    let executable: Executable | undefined;
    for (const format of formats) {
      if (format === "brew") {
        const sums = readChecksums(await readText(checksums!));
        const path = `${output}/nexd.rb`;
        await Deno.writeTextFile(path, formula(VERSION, baseUrl!, sums));
        made.push({ format, path });
      } else if (format === "windows") {
        const path = `${output}/windows`;
        await Deno.mkdir(path, { recursive: true });
        for (const [name, text] of Object.entries(windowsFiles())) {
          await Deno.writeTextFile(`${path}/${name}`, text);
        }
        made.push({ format, path });
      } else {
        executable ??= given === undefined
          ? await makeExecutable(`${work}/program`)
          : await readExecutable(given);
        const facts = await factsOf(executable);
        const place = { output, quick, work: await emptyDirectory(`${work}/${format}-work`) };
        const make = { deb: makeDeb, rpm: makeRpm, oci: makeImage }[format];
        made.push({ format, path: await make(executable, facts, place) });
      }
    }
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return made;
}

async function factsOf(executable: Executable): Promise<Facts> {
  const path = `${executable.directory}/${executable.runtime}`;
  const header = new Uint8Array(20);
  using file = await Deno.open(path);
  const count = await file.read(header) ?? 0;
  return {
    version: VERSION,
    epoch: await readEpoch(),
    machine: machineOf(header.subarray(0, count), path),
  };
}

async function emptyDirectory(path: string): Promise<string> {
  await Deno.mkdir(path);
  return path;
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new PackageError(`Cannot read ${path}: ${(error as Error).message}`, 2);
  }
}

const say = (stream: { writeSync(bytes: Uint8Array): number }, text: string) =>
  void stream.writeSync(new TextEncoder().encode(text + "\n"));

/** Runs the command; returns its exit status. */
async function main(args: string[]): Promise<number> {
  const options = parseArguments(args);
  if (options.help) {
    say(Deno.stdout, HELP.trimEnd());
    return 0;
  }
  // A task runs in the clone wherever it was called.
  const here = Deno.env.get("INIT_CWD") ?? Deno.cwd();
  const whole = (path: string) => isAbsolute(path) ? path : join(here, path);
  for (const name of ["executable", "output", "checksums"] as const) {
    if (options[name] !== undefined) options[name] = whole(options[name]);
  }
  for (const { format, path } of await makePackages(options)) {
    say(Deno.stdout, options.json ? JSON.stringify({ format, path, version: VERSION }) : path);
  }
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof PackageError)) throw error;
    say(Deno.stderr, `package: ${error.message}`);
    Deno.exit(error.exitCode);
  }
}
