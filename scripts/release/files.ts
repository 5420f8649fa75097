import { createHash } from "node:crypto";
import { ReleaseError } from "./errors.ts";

/** Triples that every release has an executable for. */
export const TARGETS = [
  "aarch64-apple-darwin",
  "aarch64-pc-windows-msvc",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "x86_64-pc-windows-msvc",
  "x86_64-unknown-linux-gnu",
] as const;
export type Target = typeof TARGETS[number];

/** Name of the executable for a target in a release. */
export const executableOf = (target: Target): string =>
  `nexd-${target}${target.includes("windows") ? ".exe" : ""}`;

/** Name of the list of checksums. */
export const SUMS = "SHA256SUMS";

/** A file of a release and its SHA-256, 64 hexadecimal digits. */
export interface Summed {
  name: string;
  sha256: string;
}

/** SHA-256 of a file, which may be larger than memory. */
export async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  for await (const bytes of file.readable) hash.update(bytes);
  return hash.digest("hex");
}

/**
 * The files in a folder with their sums, in the order of their names; the list itself is none.
 *
 * @throws {ReleaseError} for what is no plain file, is empty, or has a name that would need quoting
 */
export async function sumFiles(folder: string): Promise<Summed[]> {
  const entries = [...Deno.readDirSync(folder)].filter(({ name }) => name !== SUMS);
  const summed: Summed[] = [];
  for (const { name, isFile } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (!isFile) throw new ReleaseError(`${folder}/${name} is no file; a release has files only`);
    if (!/^[A-Za-z0-9][A-Za-z0-9._~+-]*$/.test(name)) {
      throw new ReleaseError(`"${name}" is no name for a file that people download; rename it`);
    }
    const path = `${folder}/${name}`;
    if (Deno.statSync(path).size === 0) throw new ReleaseError(`${path} is empty; make it again`);
    summed.push({ name, sha256: await sha256(path) });
  }
  return summed;
}

/** The list, as `sha256sum --check` reads it. */
export const sumList = (files: readonly Summed[]): string =>
  files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join("");

/**
 * Targets that the files have no executable for.
 *
 * @param files names
 */
export function missingTargets(files: readonly string[]): Target[] {
  return TARGETS.filter((target) => !files.includes(executableOf(target)));
}

/**
 * install.sh for a release: it knows where releases are.
 *
 * @param repository such as https://github.com/OWNER/NAME
 * @throws {ReleaseError} when the script has no place for it
 */
export function stampInstaller(script: string, repository: string): string {
  const stamped = script.replace(/^RELEASES=""$/m, `RELEASES="${repository}/releases"`);
  if (stamped === script) throw new ReleaseError('install.sh has no line RELEASES=""');
  return stamped;
}
