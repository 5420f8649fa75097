/** The directory that a control plane keeps everything in: one process at a time, private files. */
import { reasonOf } from "../relay/cert/mod.ts";
import { finishReplacing } from "./backup/swap.ts";
import { newSecret, parseSecret, secretCheck } from "./auth/mod.ts";
import { ControlError } from "./errors.ts";
import type { Reader, Store } from "./store/mod.ts";

/** A state directory that is ours until `release`. */
export interface StateDir {
  path: string;
  database: string;
  release(): void;
}

/**
 * Makes the directory (0700) if needed and takes its lock. The kernel drops the lock when the process
 * ends, however it ends. ControlError: not writable, or another control plane runs on it.
 *
 * @param options.database make the database's file, too
 */
export async function openStateDir(
  path: string,
  options: { database: boolean } = { database: true },
): Promise<StateDir> {
  const database = `${path}/control.db`;
  let lock: Deno.FsFile;
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
    lock = await Deno.open(`${path}/control.lock`, { write: true, create: true, mode: 0o600 });
  } catch (error) {
    throw notWritable(path, error);
  }
  try {
    if (!await lock.tryLock(true)) {
      throw new ControlError(
        `Cannot use ${path}: another control plane is running on it; ` +
          `stop that one, or choose another --state-dir`,
      );
    }
    await finishReplacing(path);
    if (options.database) {
      // Made before SQLite does, as SQLite would let everybody read it and its journals.
      const file = await Deno.open(database, { append: true, create: true, mode: 0o600 });
      file.close();
    }
  } catch (error) {
    lock.close();
    throw error instanceof ControlError ? error : notWritable(path, error);
  }
  return { path, database, release: () => lock.close() };
}

/**
 * The server's secret, made at the first start: in the state directory, or, for a database that other
 * control planes use as well, in that; there a file wins, for operators who give each its copy.
 *
 * ControlError when it is gone, damaged or of another database: every device would lose its token, so
 * nothing is made up in its place.
 */
export async function loadSecret(path: string, store: Store): Promise<Uint8Array> {
  const file = `${path}/secret.key`;
  const made = newSecret();
  let text = await readText(file);
  if (text === undefined && !store.shared) {
    if (await kept(store.db, CHECK) !== undefined) throw badSecret(file, "is missing");
    await writePrivate(file, `${made}\n`);
    text = made;
  }
  const given = text === undefined ? undefined : parseSecret(text);
  if (text !== undefined && given === undefined) throw badSecret(file, "is damaged");
  return await store.write(async ({ db }) => {
    const known = await kept(db, CHECK);
    const shared = await kept(db, SECRET);
    const secret = given ?? parseSecret(shared ?? (known === undefined ? made : ""));
    if (secret === undefined) throw badSecret(file, "is missing");
    const value = secretCheck(secret);
    if (known !== undefined && known !== value) {
      throw badSecret(file, "belongs to another database");
    }
    const rows = [
      ...(known === undefined ? [{ key: CHECK, value }] : []),
      ...(known === undefined && given === undefined ? [{ key: SECRET, value: made }] : []),
    ];
    if (rows.length > 0) await db.insertInto("meta").values(rows).execute();
    return secret;
  });
}

/** Keys of the table `meta`: what proves that a secret belongs to the database, and the secret. */
const CHECK = "secret_check", SECRET = "secret";

async function kept(db: Reader, key: string): Promise<string | undefined> {
  const row = await db.selectFrom("meta").select("value").where("key", "=", key)
    .executeTakeFirst();
  return row?.value;
}

/**
 * Writes a file that only its owner can read (0600); it is there in full or not at all.
 * ControlError when it cannot be written.
 */
export async function writePrivate(path: string, text: string): Promise<void> {
  const draft = `${path}.new`;
  await Deno.remove(draft).catch(() => {});
  try {
    using file = await Deno.open(draft, { write: true, createNew: true, mode: 0o600 });
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
    await Deno.rename(draft, path);
  } catch (error) {
    throw notWritable(path, error);
  }
}

/** The text of a file, or undefined if there is none. ControlError when it cannot be read. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new ControlError(`Cannot read ${path}: ${reasonOf(error)}; let this user read it`, {
      cause: error,
    });
  }
}

function notWritable(path: string, error: unknown): ControlError {
  return new ControlError(
    `Cannot write to ${path}: ${reasonOf(error)}; make it writable for this user, ` +
      `or choose another --state-dir`,
    { cause: error },
  );
}

function badSecret(file: string, state: string): ControlError {
  return new ControlError(
    `Cannot use ${file}: it ${state}; put back the file that was made together with control.db`,
  );
}
