/** What an unpacked program consists of. */
import { createHash } from "node:crypto";
import { bundle } from "./bundle.ts";
import { launchText, unpackedText } from "./launch.ts";
import { commitOf } from "./stamp.ts";

/** One file of an unpacked program. */
export interface Content {
  /** In the directory, with at most one folder before its name. */
  path: string;
  bytes: Uint8Array<ArrayBuffer>;
  /** Whether it is started and not only read. */
  executable: boolean;
  /** Lower-case hex. */
  sha256: string;
}

/** The files of an unpacked program for this kind of machine, in the order of their paths. */
export async function contents(): Promise<Content[]> {
  const text = (path: string, value: string, executable = false) =>
    content(path, new TextEncoder().encode(value), executable);
  const files = [
    content("runtime/nexd", Deno.readFileSync(Deno.execPath()), true),
    text("nexd", unpackedText(), true),
    text("launch", launchText()),
  ];
  for (const [name, code] of await bundle(await commitOf())) {
    files.push(text(`app/${name}`, code));
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

function content(path: string, bytes: Uint8Array<ArrayBuffer>, executable: boolean): Content {
  return { path, bytes, executable, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** Writes the files below `dir`, which must not be there yet. */
export function writeUnpacked(dir: string, files: Content[]): void {
  for (const path of [dir, `${dir}/app`, `${dir}/runtime`]) {
    Deno.mkdirSync(path, { recursive: path === dir });
    Deno.chmodSync(path, 0o755);
  }
  for (const { path, bytes, executable } of files) {
    Deno.writeFileSync(`${dir}/${path}`, bytes);
    Deno.chmodSync(`${dir}/${path}`, executable ? 0o755 : 0o644);
  }
}
