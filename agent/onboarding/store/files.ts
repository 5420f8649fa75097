/**
 * Files of the state directory: private, written whole or not at all.
 *
 * @module
 */
import { isObject } from "../../api/mod.ts";
import { AgentError, reasonOf } from "../../errors.ts";
import { protectDirectory, SUPERUSER, writeFileAtomic } from "../../platform/mod.ts";

/**
 * Makes the state directory (0700) where it is missing; an existing one keeps its mode. On Windows it
 * becomes the administrators' in any case: there files take over the rights of their directory.
 */
export async function ensureStateDir(dir: string): Promise<void> {
  try {
    await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
    if (Deno.build.os === "windows") await protectDirectory(dir);
  } catch (error) {
    throw fileError("use the state directory", dir, error);
  }
}

/** Replaces a file by a new one of mode 0600 in one step: a reader or a crash sees old or new. */
export async function writePrivate(path: string, text: string): Promise<void> {
  try {
    await writeFileAtomic(path, text, 0o600);
  } catch (error) {
    throw fileError("write", path, error);
  }
}

/** The text of a file, or undefined when there is none. Larger than `limit` bytes is an error. */
export async function readPrivate(path: string, limit: number): Promise<string | undefined> {
  try {
    const { size } = await Deno.stat(path);
    if (size > limit) throw new Error(`it is larger than ${limit} bytes`);
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw fileError("read", path, error);
  }
}

/** The JSON object in a file's text, or what is wrong with the text. */
export function parseObject(text: string): Record<string, unknown> | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text.trim() === "" ? "it is empty" : "it is not valid JSON";
  }
  return isObject(value) ? value : "it is not a JSON object";
}

/** Moves a damaged file aside and returns its new name. */
export async function keepAside(path: string, now: Date): Promise<string> {
  const stamp = now.toISOString().replace(/[-:]/g, "").replace(/\.\d+/, "");
  const aside = `${path}.corrupt-${stamp}`;
  try {
    await Deno.rename(path, aside);
  } catch (error) {
    throw fileError("move", path, error);
  }
  return aside;
}

function fileError(action: string, path: string, error: unknown): AgentError {
  if (error instanceof AgentError) return error;
  const denied = error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable;
  const why = denied ? "permission denied" : reasonOf(error, 160);
  return new AgentError(
    `Cannot ${action} ${path}: ${why}; run as ${SUPERUSER} or choose another --state-dir`,
    { cause: error },
  );
}
