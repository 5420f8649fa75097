/** The program as a few JavaScript files, each loaded when a command first needs it. */
import { createHash } from "node:crypto";
import { ROOT, run } from "./deno.ts";
import { notices } from "../parts/mod.ts";
import { CompileError } from "./errors.ts";
import { writeEntry } from "./stamp.ts";

/** The bundler's name of a part: a stem and a hash in which the paths of this machine are. */
const PART = /([\w.]+)-[A-Z0-9]{8}\.js/g;

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/**
 * Bundles the program, its locked dependencies and its assets.
 *
 * @param commit what the program tells of itself
 * @returns the files by their name, of which `main.js` is to be started; the same for the same source,
 * wherever it lies
 */
export async function bundle(commit: string): Promise<Map<string, string>> {
  const dir = Deno.makeTempDirSync({ prefix: "nexd-bundle-" });
  try {
    const entry = writeEntry(dir, commit, await notices());
    await run(Deno.execPath(), [
      ...["bundle", "--quiet", "--no-check", "--frozen", "--config", `${ROOT}deno.json`],
      ...["--platform", "deno", "--code-splitting", "--minify", "--keep-names"],
      ...["--outdir", `${dir}/out`, entry],
    ]);
    const made = new Map(
      [...Deno.readDirSync(`${dir}/out`)].map((
        { name },
      ) => [name, Deno.readTextFileSync(`${dir}/out/${name}`)]),
    );
    return rename(new Map([...made].map(([name, text]) => [name, lazy(text)])));
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/**
 * Hides the parts that are imported later from the runtime, which else reads and parses all of them
 * before the first line runs: 60 MB of memory where nothing is kept from an earlier start.
 */
export function lazy(text: string): string {
  return text.replaceAll(/\bimport\(("\.\/[\w.-]+\.js")\)/g, "import([$1][0])");
}

/** Names parts by what is in them, instead of by where they were made. */
export function rename(files: ReadonlyMap<string, string>): Map<string, string> {
  const names = new Map<string, string>();
  for (const [name, text] of files) {
    const neutral = sha256(text.replaceAll(PART, "$1.js")).slice(0, 8);
    names.set(name, name.replace(PART, `$1-${neutral}.js`));
  }
  if (new Set(names.values()).size !== names.size) {
    throw new CompileError("Cannot compile: two parts of the bundle are the same");
  }
  const renamed = [...files].map(([name, text]) =>
    [names.get(name)!, text.replaceAll(PART, (part) => names.get(part) ?? part)] as const
  );
  return new Map(renamed.sort(([a], [b]) => a < b ? -1 : 1));
}
