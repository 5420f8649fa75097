/**
 * Changing a file that others change, too: in one step where the file system lets us, in place where
 * the file is a mount of its own (as in containers), and never over somebody else's edit.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { getLogger } from "@logtape/logtape";
import { AgentError, reasonOf } from "../errors.ts";

const log = getLogger(["nexd", "names"]);

/** Larger files are left alone, bytes. */
const MAX_SIZE = 16 << 20;
/** How often an edit is begun anew when others write at the same time. */
const ATTEMPTS = 8;
/** After a replacement: when the old file is looked at for what others still wrote into it, ms. */
const LATE = [0, 5, 30];
/** New files before they take the place of the old one; how long one can be under way, ms. */
const TEMPORARY = /^\.nexd-hosts-[0-9a-f]{12}$/, ABANDONED = 60_000;
/** There when the kernel labels files: a new file would have another label. */
const SELINUX = "/sys/fs/selinux/enforce";

/** What tells cheaply that a file is as it was. */
export interface Stamp {
  dev: number;
  ino: number | null;
  size: number;
  mtime: number | undefined;
}

interface Current {
  /** Behind all links. */
  path: string;
  info: Deno.FileInfo;
  /** One character a byte. */
  text: string;
}

/** What an edit makes of the text (undefined: no file); undefined or the same text: nothing. */
export type Edit = (text: string | undefined) => string | undefined;

/**
 * Changes the file at `path` and returns its new stamp, or undefined when there is none. An empty
 * result of an edit with `removeEmpty` removes the file.
 *
 * @throws {AgentError} one sentence: read-only, too large, no permission, or changed all the time
 */
export async function editFile(
  path: string,
  edit: Edit,
  options: { removeEmpty?: (text: string) => boolean } = {},
): Promise<Stamp | undefined> {
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = await read(path);
      const after = edit(before?.text);
      if (after === undefined || after === before?.text) return before && stampOf(before.info);
      if (before === undefined) {
        if (await create(path, after)) return await stamp(path);
      } else if (after === "" && options.removeEmpty?.(before.text)) {
        if (await unchanged(before)) {
          await Deno.remove(before.path);
          return undefined;
        }
      } else if (await write(before, after)) {
        return await stamp(path);
      }
      await new Promise((resolve) => setTimeout(resolve, attempt * 5));
    }
  } catch (error) {
    if (error instanceof AgentError) throw error;
    throw new AgentError(`Cannot change ${path}: ${reasonOf(error, 120)}`, { cause: error });
  }
  throw new AgentError(`Cannot change ${path}: others change it all the time`);
}

/** Removes new files that crashed agents left half-written beside the file at `path`. Never throws. */
export async function removeLeftovers(path: string): Promise<void> {
  const dir = directoryOf(await Deno.realPath(path).catch(() => path));
  try {
    for await (const { name, isFile } of Deno.readDir(dir)) {
      if (!isFile || !TEMPORARY.test(name)) continue;
      const { mtime } = await Deno.lstat(dir + name);
      if (Date.now() - (mtime?.getTime() ?? 0) > ABANDONED) await Deno.remove(dir + name);
    }
  } catch (error) {
    log.debug("{dir} is not tidied: {reason}", { dir, reason: reasonOf(error) });
  }
}

/** The stamp of the file behind `path`; undefined when there is none. */
export async function stamp(path: string): Promise<Stamp | undefined> {
  try {
    return stampOf(await Deno.stat(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

export function sameStamp(a: Stamp | undefined, b: Stamp | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino &&
    a.size === b.size && a.mtime === b.mtime);
}

function stampOf({ dev, ino, size, mtime }: Deno.FileInfo): Stamp {
  return { dev, ino, size, mtime: mtime?.getTime() };
}

async function read(path: string): Promise<Current | undefined> {
  let real: string;
  try {
    real = await Deno.realPath(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    if (await Deno.lstat(path).then((info) => info.isSymlink, () => false)) {
      throw new AgentError(`Cannot change ${path}: it is a link to a file that is not there`);
    }
    return undefined;
  }
  using file = await Deno.open(real, { read: true });
  const info = await file.stat();
  if (!info.isFile) throw new AgentError(`Cannot change ${path}: it is no file`);
  const text = await content(file, path);
  if (/^(\xff\xfe|\xfe\xff)/.test(text)) {
    throw new AgentError(
      `Cannot change ${path}: it is in UTF-16, in which no system reads it; save it as UTF-8`,
    );
  }
  return { path: real, info, text };
}

/** All of an open file. */
async function content(file: Deno.FsFile, path: string): Promise<string> {
  await file.seek(0, Deno.SeekMode.Start);
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const buffer = new Uint8Array(65536);
    const n = await file.read(buffer);
    if (n === null) return Buffer.concat(parts).toString("latin1");
    size += n;
    if (size > MAX_SIZE) {
      throw new AgentError(`Cannot change ${path}: it is larger than ${MAX_SIZE >> 20} MiB`);
    }
    parts.push(buffer.subarray(0, n));
  }
}

/** Whether the file still is what was read. */
async function unchanged(before: Current): Promise<boolean> {
  const now = await read(before.path).catch(() => undefined);
  return now !== undefined && now.info.ino === before.info.ino &&
    now.info.dev === before.info.dev &&
    now.text === before.text;
}

async function create(path: string, text: string): Promise<boolean> {
  try {
    using file = await Deno.open(path, { write: true, createNew: true, mode: 0o644 });
    await writeAll(file, Buffer.from(text, "latin1"));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

/** False: somebody else changed it meanwhile, and nothing was written. */
async function write(before: Current, after: string): Promise<boolean> {
  // On Windows a new file would have its directory's rights, and not those of the old one.
  const alone = Deno.build.os !== "windows" && (before.info.nlink ?? 1) === 1 &&
    !await exists(SELINUX);
  const temporary = alone ? await prepare(before, after) : undefined;
  if (temporary === undefined) return await writeInPlace(before, after);
  // Held open: what others write into the old file at this moment is not lost.
  using old = await Deno.open(before.path, { read: true });
  try {
    if (!await unchanged(before)) return false;
    await Deno.rename(temporary, before.path);
  } catch (error) {
    // A mount of its own cannot be replaced (EBUSY, EXDEV), but written.
    log.debug("{path} is written in place: {reason}", {
      path: before.path,
      reason: reasonOf(error),
    });
    return await writeInPlace(before, after);
  } finally {
    await Deno.remove(temporary).catch(() => {});
  }
  return await saveLate(before, after, old);
}

/** The new file beside the old one, with its mode and owner; undefined where that cannot be made. */
async function prepare(before: Current, after: string): Promise<string | undefined> {
  const { path, info } = before;
  const temporary = `${directoryOf(path)}.nexd-hosts-${
    crypto.getRandomValues(new Uint8Array(6)).toHex()
  }`;
  try {
    using file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
    await writeAll(file, Buffer.from(after, "latin1"));
    const { uid, gid } = await file.stat();
    if (uid !== info.uid || gid !== info.gid) await Deno.chown(temporary, info.uid, info.gid);
    await Deno.chmod(temporary, (info.mode ?? 0o644) & 0o7777);
    await file.sync();
    return temporary;
  } catch (error) {
    log.debug("{path} is written in place: {reason}", { path, reason: reasonOf(error) });
    await Deno.remove(temporary).catch(() => {});
    return undefined;
  }
}

/** With the separator at its end. */
function directoryOf(path: string): string {
  return path.replace(/[^/\\]*$/, "");
}

async function writeInPlace(before: Current, after: string): Promise<boolean> {
  const old = before.text;
  let same = 0;
  while (same < old.length && old[same] === after[same]) same++;
  const rest = Buffer.from(after.slice(same), "latin1");
  // At the end the kernel finds the place, behind whatever others have written by then.
  const append = same === old.length;
  using file = await Deno.open(before.path, append ? { append: true } : { write: true });
  if (!await unchanged(before)) return false;
  if (!append) await file.seek(same, Deno.SeekMode.Start);
  await writeAll(file, rest);
  if (!append) await file.truncate(same + rest.length);
  await file.sync();
  return true;
}

/**
 * Brings over what somebody wrote into the old file while, or right after, it was replaced. False: it
 * was rewritten as a whole, which now is the new file, and the edit has to be made again.
 */
async function saveLate(before: Current, after: string, old: Deno.FsFile): Promise<boolean> {
  let seen = before.text, now = after, rewritten = false;
  for (const delay of LATE) {
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
    const late = await content(old, before.path);
    if (late === seen) continue;
    if (late.startsWith(seen) && !rewritten) {
      const added = late.slice(seen.length);
      using file = await Deno.open(before.path, { append: true });
      await writeAll(file, Buffer.from(added, "latin1"));
      now += added;
    } else {
      const current = await read(before.path);
      if (current?.text !== now) return false;
      if (!await writeInPlace(current, late)) return false;
      now = late;
      rewritten = true;
    }
    seen = late;
  }
  return !rewritten;
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}

function exists(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}
