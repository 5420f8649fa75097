/**
 * A lab's directory: private, named `nexd-lab-…`, and alive exactly as long as somebody holds a
 * shared flock on its file `lock`. The creator holds one and so does the lab's first process, and
 * the kernel drops both however they end, so a directory nobody locks is rubbish.
 *
 * @module
 */

const PREFIX = "nexd-lab-";
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

/** Makes a lab directory (0700) and locks it until the returned file is closed. */
export function makeLabDir(): { dir: string; lock: Deno.FsFile } {
  const dir = Deno.makeTempDirSync({ dir: labRoot(), prefix: PREFIX });
  // Locked before it has its name, so that no other start finds a lock file without a holder.
  const lock = Deno.openSync(`${dir}/lock.new`, { create: true, write: true, mode: 0o600 });
  lock.lockSync(false);
  Deno.renameSync(`${dir}/lock.new`, `${dir}/lock`);
  return { dir, lock };
}

/** Whether somebody holds the lab in this directory. */
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

/** Removes this user's lab directories that nobody holds; returns their paths. */
export function removeStaleDirs(): string[] {
  const removed: string[] = [];
  for (const entry of Deno.readDirSync(labRoot())) {
    if (!entry.isDirectory || !entry.name.startsWith(PREFIX)) continue;
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
