import { noteOf, SYSTEM } from "../audit/mod.ts";
import { ControlError } from "../errors.ts";
import { openStateDir } from "../state_dir.ts";
import { type Insert, loadPostgres, loadSqlite } from "../store/mod.ts";
import { type Contents, deedOf, type Place, SECRET_FILE, SECRET_ROW } from "./backup.ts";
import { type StateFile, writeFile } from "./files.ts";
import { type Header, readEntries, readHeader } from "./format.ts";
import { makeDraft, replaceState } from "./swap.ts";

/** Rows handed to the database at a time. */
const CHUNK = 500;

/**
 * Puts a backup in the place of a control plane's state; until the end the old one stays as it is.
 * The state directory's files that were there go to `before-restore` in it.
 *
 * ControlError while a control plane runs, for a damaged backup, one of a newer version, and, without
 * `force`, where there is a state already.
 */
export async function restore(
  { stateDir, databaseUrl }: Place,
  path: string,
  { force }: { force: boolean },
): Promise<Contents & { header: Header }> {
  const header = await readHeader(path);
  // All of it is read before anything is touched: a checksum stands at the end.
  const files = await checkAll(path);
  const dir = await openStateDir(stateDir, { database: false });
  try {
    if (!force && databaseUrl === undefined) refuseUsed(dir.database);
    const draft = await makeDraft(stateDir);
    const contents: Contents = { tables: {}, files: [], rows: 0 };
    for (const file of files) {
      // A shared database has the secret itself, unless its operator gives it to each by a file.
      const shared = databaseUrl !== undefined && !exists(`${stateDir}/${SECRET_FILE}`);
      if (file.file === SECRET_FILE && shared) continue;
      await writeFile(draft, file);
      contents.files.push(file.file);
    }
    const secret = files.find(({ file }) => file === SECRET_FILE);
    const content = {
      migrations: header.migrations,
      note: noteOf(SYSTEM, {
        ...deedOf("restore.start", path),
        changes: { made_at: { new: header.created_at } },
      }),
      load: async (insert: Insert) => {
        await loadRows(path, insert, contents);
        if (databaseUrl === undefined || secret === undefined) return;
        const row = [SECRET_ROW, atob(secret.data).trim()];
        await insert({ name: "meta", columns: ["key", "value"] }, [row]);
      },
    };
    if (databaseUrl === undefined) {
      // Made before SQLite does, which would let everybody read it.
      (await Deno.open(`${draft}/control.db`, { write: true, createNew: true, mode: 0o600 }))
        .close();
      await loadSqlite(`${draft}/control.db`, content);
    } else {
      await loadPostgres(databaseUrl, content, { force });
    }
    await replaceState(stateDir);
    return { ...contents, header };
  } finally {
    dir.release();
  }
}

/** Reads a backup to its end, which proves that it is whole; returns its files. */
async function checkAll(path: string): Promise<StateFile[]> {
  const files: StateFile[] = [];
  for await (const entry of readEntries(path)) {
    if (!Array.isArray(entry) && "file" in entry) files.push(entry);
  }
  return files;
}

async function loadRows(path: string, insert: Insert, contents: Contents): Promise<void> {
  let table: { name: string; columns: string[] } | undefined;
  let rows: unknown[][] = [];
  const flush = async () => {
    if (table !== undefined && rows.length > 0) await insert(table, rows);
    rows = [];
  };
  for await (const entry of readEntries(path)) {
    if (Array.isArray(entry)) {
      if (table?.columns.length !== entry.length) {
        throw new ControlError(`Cannot use ${path}: a row of it does not fit its table`);
      }
      rows.push(entry);
      contents.rows++;
      contents.tables[table.name]!++;
      if (rows.length >= CHUNK) await flush();
    } else if ("table" in entry) {
      await flush();
      table = { name: entry.table, columns: entry.columns };
      contents.tables[table.name] = 0;
    }
  }
  await flush();
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path) !== undefined;
  } catch {
    return false;
  }
}

function refuseUsed(database: string): void {
  try {
    if (Deno.statSync(database).size === 0) return;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  throw new ControlError(
    `Cannot restore: there is a database already, ${database}; --force replaces it`,
  );
}
