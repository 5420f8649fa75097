/**
 * Directories that are alive exactly as long as somebody holds a shared flock on their file `lock`:
 * a lab's (`nexd-lab-…`) and the temporary directory of a run of the tests (`nexd-test-…`). The
 * creator holds one and so does the lab's first process or the process of the tests, and the kernel
 * drops all of them however they end, so a directory nobody locks is rubbish.
 *
 * @module
 */

const PREFIX = "nexd-lab-";
const TEST_PREFIX = "nexd-test-";
/** A directory this young without a lock file may be one that is just being made. */
const GRACE_MS = 60_000;

/** Where lab directories live: the temp dir, unless the lab hides it (every host has its own /run). */
export function labRoot(): string {
  const dir = Deno.env.get("TMPDIR") || "/tmp";
  return dir.startsWith("/run") || dir.startsWith("/var/run") || !dir.startsWith("/")
    ? "/tmp"
    : dir.replace(/\/+$/, "");
}

/** Directory of the lab with this id. */
export function labDir(id: string): string {
  return `${labRoot()}/${PREFIX}${id}`;
}

/** The id in a lab directory's name. */
export function labId(dir: string): string {
  return dir.slice(dir.lastIndexOf("/") + 1 + PREFIX.length);
}

/** A private directory (0700) that is locked until the file is closed. */
export interface HeldDir {
  dir: string;
  lock: Deno.FsFile;
}

/** Makes the directory of a lab. */
export function makeLabDir(): HeldDir {
  return makeDir(PREFIX);
}

/** Makes the temporary directory of a run of the tests. */
export function makeTestDir(): HeldDir {
  return makeDir(TEST_PREFIX);
}

function makeDir(prefix: string): HeldDir {
  const dir = Deno.makeTempDirSync({ dir: labRoot(), prefix });
  // Locked before it has its name, so that no other start finds a lock file without a holder.
  const lock = Deno.openSync(`${dir}/lock.new`, { create: true, write: true, mode: 0o600 });
  lock.lockSync(false);
  Deno.renameSync(`${dir}/lock.new`, `${dir}/lock`);
  return { dir, lock };
}

/** Whether somebody holds this directory. */
export function isHeld(dir: string): boolean {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(`${dir}/lock`, { read: true, write: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return true;
    const made = Deno.statSync(dir).mtime?.getTime() ?? 0;
    return Date.now() - made < GRACE_MS;
  }
  try {
    return !file.tryLockSync(true);
  } finally {
    file.close();
  }
}

/** Removes this user's directories of both kinds that nobody holds; returns their paths. */
export function removeStaleDirs(): string[] {
  const removed: string[] = [];
  for (const entry of Deno.readDirSync(labRoot())) {
    const ours = entry.name.startsWith(PREFIX) || entry.name.startsWith(TEST_PREFIX);
    if (!entry.isDirectory || !ours) continue;
    const dir = `${labRoot()}/${entry.name}`;
    try {
      if (Deno.lstatSync(dir).uid !== Deno.uid() || isHeld(dir)) continue;
      Deno.removeSync(dir, { recursive: true });
      removed.push(dir);
    } catch (error) {
      // Another start removes the same directory at the same moment.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return removed;
}
