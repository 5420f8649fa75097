/** The files of a state directory beside the database: secrets, certificates, keys. */
import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import { getLogger } from "@logtape/logtape";
import { ControlError } from "../errors.ts";
import { STAGING } from "./swap.ts";

const log = getLogger(["nexd", "control", "backup"]);

/** Largest file, in bytes, and how many there may be: far above what a control plane keeps. */
const MAX_SIZE = 1024 * 1024, MAX_FILES = 1_000;

/** What is not the operator's state: the database, locks, drafts, and copies of it. */
const LEFT_OUT = /^control\.db|\.(lock|new|backup)$/;

/** A file as it is in a backup. */
export interface StateFile {
  file: string;
  mode: number;
  data: string;
}

/** Reads every file below a directory. ControlError for too many or too large ones. */
export async function readFiles(dir: string): Promise<StateFile[]> {
  const files: StateFile[] = [];
  for await (const { path, mode } of walk(dir, "")) {
    const bytes = await Deno.readFile(`${dir}/${path}`);
    if (bytes.length > MAX_SIZE || files.length >= MAX_FILES) {
      throw new ControlError(
        `Cannot back up ${dir}/${path}: only small files belong there; move it elsewhere`,
      );
    }
    files.push({ file: path, mode, data: Buffer.from(bytes).toString("base64") });
  }
  return files;
}

async function* walk(dir: string, below: string): AsyncGenerator<{ path: string; mode: number }> {
  const entries = [];
  try {
    for await (const entry of Deno.readDir(`${dir}/${below}`)) entries.push(entry);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && below === "") return;
    throw error;
  }
  for (const { name, isDirectory, isFile } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = below === "" ? name : `${below}/${name}`;
    if (LEFT_OUT.test(name) || (below === "" && STAGING.includes(name))) continue;
    if (isDirectory) yield* walk(dir, path);
    else if (isFile) yield { path, mode: ((await Deno.stat(`${dir}/${path}`)).mode ?? 0) & 0o777 };
    else log.warn("{path} is not backed up: it is no ordinary file", { path: `${dir}/${path}` });
  }
}

/** Writes files of a backup below a directory. ControlError for a path that leads out of it. */
export async function writeFile(dir: string, { file, mode, data }: StateFile): Promise<void> {
  const parts = file.split("/");
  if (
    file.length > 1_000 || file.includes("\0") || LEFT_OUT.test(parts[0]!) ||
    STAGING.includes(parts[0]!) ||
    parts.some((part) => part === "" || part === "." || part === "..")
  ) {
    throw new ControlError(
      `Cannot restore the file ${file.slice(0, 100)}: it does not belong there`,
    );
  }
  const path = `${dir}/${file}`;
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  using handle = await Deno.open(path, { write: true, createNew: true, mode: mode & 0o777 });
  const bytes = Buffer.from(data, "base64");
  for (let at = 0; at < bytes.length;) at += await handle.write(bytes.subarray(at));
  await handle.sync();
}
