/**
 * Files that must never be seen half-written, and the lock that keeps two agents apart.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { AgentError, reasonOf } from "../errors.ts";

/**
 * Replaces a file in one step: a reader, or a crash, sees the old content or the new. The new file
 * has `mode` from its first byte on, whatever the old one had; a link is replaced, not followed.
 * Throws the runtime's error, and then leaves nothing behind.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  mode: number = 0o600,
): Promise<void> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const dir = dirname(path);
  const suffix = crypto.getRandomValues(new Uint8Array(6)).toHex();
  const temporary = join(dir, `.${basename(path)}.${suffix}`);
  const file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 & mode });
  try {
    try {
      for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
      // The mode given to open is cut by the umask.
      if (Deno.build.os !== "windows") await Deno.chmod(temporary, mode);
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(dir);
}

/** The new name is on disk only when its directory is; not every file system can. */
async function syncDirectory(dir: string): Promise<void> {
  try {
    using handle = await Deno.open(dir, { read: true });
    await handle.sync();
  } catch {
    // The content is safe either way; at worst a power cut brings the old file back.
  }
}

/** Removes a directory if there is nothing in it; else, or when it may not, leaves it. */
export async function removeIfEmpty(dir: string): Promise<void> {
  try {
    await Deno.remove(dir);
  } catch {
    // Somebody else's things are in it.
  }
}

/** A held lock. */
interface FileLock {
  /** Gives it up; the file stays. May be called again. */
  release(): void;
  /** Removes the file and gives the lock up: who waits for it makes another one. */
  remove(): Promise<void>;
}

/**
 * Takes the lock on `path`, making the file (0600) when it is not there. The kernel gives the lock
 * up when the process ends, however it ends. Throws `AgentError` naming the holder when another
 * process has it.
 */
export async function lockFile(path: string): Promise<FileLock> {
  const lock = await tryLockFile(path);
  if ("release" in lock) return lock;
  throw new AgentError(
    `Cannot start: nexd is running already${
      lock.pid ? ` (pid ${lock.pid})` : ""
    } and holds ${path}; ` +
      `stop it or choose another --state-dir`,
  );
}

/** {@linkcode lockFile} that returns the holder's process id, where it is known, instead of throwing. */
export async function tryLockFile(path: string): Promise<FileLock | { pid: string | undefined }> {
  for (;;) {
    const lock = await lockOnce(path);
    if (lock !== undefined) return lock;
  }
}

/** Undefined when the holder of before has removed the file meanwhile: such a lock keeps nobody out. */
async function lockOnce(path: string): Promise<FileLock | { pid: string | undefined } | undefined> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
  } catch (error) {
    throw new AgentError(`Cannot open the lock file ${path}: ${reasonOf(error)}`, { cause: error });
  }
  try {
    if (!await file.tryLock(true)) {
      const buffer = new Uint8Array(16);
      const n = await file.read(buffer) ?? 0;
      file.close();
      return { pid: /^\d+/.exec(new TextDecoder().decode(buffer.subarray(0, n)))?.[0] };
    }
    if (!await isAt(file, path)) {
      file.close();
      return undefined;
    }
    await file.truncate(0);
    await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  } catch (error) {
    file.close();
    throw error;
  }
  let held = true;
  const release = () => {
    if (held) file.close();
    held = false;
  };
  return {
    release,
    async remove() {
      if (held) await Deno.remove(path).catch(() => {});
      release();
    },
  };
}

/** Whether the path still leads to this file. Windows removes no file that is open. */
async function isAt(file: Deno.FsFile, path: string): Promise<boolean> {
  if (Deno.build.os === "windows") return true;
  const [own, there] = await Promise.all([file.stat(), Deno.stat(path).catch(() => undefined)]);
  return own.ino === there?.ino && own.dev === there?.dev;
}
