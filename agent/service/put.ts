/**
 * Files of a service: each step is told, and nothing is touched in a dry run.
 *
 * @module
 */
import { dirname } from "node:path";
import { AgentError, reasonOf } from "../errors.ts";
import { writeFileAtomic } from "../platform/mod.ts";

/** How steps are done. */
export interface Steps {
  /** Only tell. */
  dryRun: boolean;
  /** Told of each step. */
  tell(line: string): void;
}

/** Text of a file, undefined when there is none. */
export const read = (path: string): Promise<string | undefined> =>
  Deno.readTextFile(path).catch(() => undefined);

/** Writes a file where it differs; true when it did. */
export async function put(
  path: string,
  text: string,
  mode: number,
  { dryRun, tell }: Steps,
): Promise<boolean> {
  if (await read(path) === text) {
    tell(`unchanged: ${path}`);
    return false;
  }
  tell(`${dryRun ? "would write" : "write"} ${path} (mode ${mode.toString(8)})`);
  if (dryRun) return true;
  try {
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await writeFileAtomic(path, text, mode);
  } catch (error) {
    throw new AgentError(`Cannot write ${path}: ${reasonOf(error)}; run nexd install as root`);
  }
  return true;
}

/** Removes a file that may be gone already. */
export async function drop(path: string, { dryRun, tell }: Steps): Promise<void> {
  tell(`${dryRun ? "would remove" : "remove"} ${path}`);
  if (dryRun) return;
  try {
    await Deno.remove(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw new AgentError(`Cannot remove ${path}: ${reasonOf(error)}; run nexd uninstall as root`);
  }
}

/** Text inside an element or an attribute of XML. */
export function xmlText(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
