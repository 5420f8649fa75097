/**
 * Files of a certificate directory: read with an error that says what to do, written so that a
 * reader (and a crash) sees the old or the new content, never half of it.
 *
 * @module
 */

import { join } from "node:path";
import { CertificateError } from "./error.ts";

/** Reads a text file; undefined when it does not exist. */
export async function readIfExists(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new CertificateError(
      `Cannot read ${path}: ${reasonOf(error)}; let this user read it`,
    );
  }
}

/** Tells whether a file exists; one that may not be looked at does. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** The permission bits of a key that somebody else than its owner can read; undefined if none can. */
export async function openToOthers(path: string): Promise<number | undefined> {
  try {
    const { mode } = await Deno.stat(path);
    return mode !== null && (mode & 0o077) !== 0 ? mode & 0o777 : undefined;
  } catch {
    return undefined; // reading it says what is wrong
  }
}

/** Makes a directory for keys: mode 0700 when it is new. */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw writeError(path, error);
  }
}

/**
 * Writes a file by way of a temporary one beside it: on disk before it gets its name.
 *
 * @param mode permission bits, from the file's first moment on
 */
export async function writeAtomic(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    using file = await Deno.open(temporary, { write: true, createNew: true, mode });
    let rest = new TextEncoder().encode(text);
    while (rest.length > 0) rest = rest.subarray(await file.write(rest));
    await file.sync();
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw writeError(path, error);
  }
}

/** Runs `work` while no other process or task does so for the same directory. */
export async function locked<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const path = join(directory, ".nexd.lock");
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { write: true, create: true, mode: 0o600 });
  } catch (error) {
    throw writeError(path, error);
  }
  try {
    await file.lock(true);
    return await work();
  } finally {
    file.close(); // gives the lock back too
  }
}

/** What to tell when a file or directory cannot be made or written. */
export function writeError(path: string, error: unknown): CertificateError {
  return new CertificateError(
    `Cannot write ${path}: ${reasonOf(error)}; make it writable or choose another --certdir`,
  );
}

/** What is wrong with a file or a directory, in words for the middle of a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  if (error instanceof Deno.errors.NotCapable) return "this program runs without the permission";
  if (error instanceof Deno.errors.NotFound) return "nothing can be made there";
  const text = error instanceof Error ? error.message : String(error);
  // The system's words only: its number, the call and the path help nobody or are said already.
  const words = text.replace(/ \(os error .*$/s, "");
  return words.charAt(0).toLowerCase() + words.slice(1);
}
