import { type Deed, noteOf, SYSTEM } from "../audit/mod.ts";
import { noteIn, openSnapshot, type Snapshot } from "../store/mod.ts";
import { readFiles, type StateFile } from "./files.ts";
import { type Entry, readEntries, VERSION, writeBackup } from "./format.ts";
import { ControlError } from "../errors.ts";

/** A control plane's state, wherever it is. */
export interface Place {
  stateDir: string;
  /** `postgres://` URL; without it the database is a file in the directory. */
  databaseUrl?: string | undefined;
}

/** What is in a backup. */
export interface Contents {
  /** Rows of each table. */
  tables: Record<string, number>;
  files: string[];
  rows: number;
}

/** The file with the secret that tokens are derived from, and its row in a shared database. */
export const SECRET_FILE = "secret.key", SECRET_ROW = "secret";

/**
 * Writes the whole state, as it is at one moment, to a file; control planes may go on with it.
 * ControlError when it cannot be read or written.
 *
 * @param version of this program
 */
export async function backUp(
  { stateDir, databaseUrl }: Place,
  path: string,
  version: string,
): Promise<Contents & { bytes: number; createdAt: string }> {
  const where = databaseUrl ?? `${stateDir}/control.db`;
  // Whoever has the file can act as the control plane, so that it was made is told first.
  await noteIn(where, noteOf(SYSTEM, deedOf("backup.start", path)));
  const snapshot = await openSnapshot(where);
  const contents: Contents = { tables: {}, files: [], rows: 0 };
  const createdAt = new Date().toISOString();
  try {
    const header = {
      format: "nexd-backup" as const,
      version: VERSION,
      nexd: version,
      created_at: createdAt,
      migrations: snapshot.migrations,
    };
    const files = await readFiles(stateDir);
    const { bytes, rows } = await writeBackup(path, header, entries(snapshot, files, contents));
    // What cannot be read again is no backup.
    for await (const _ of readEntries(path));
    return { ...contents, rows, bytes, createdAt };
  } finally {
    await snapshot.close();
  }
}

/** What the audit log tells of a backup's file. */
export function deedOf(action: "backup.start" | "restore.start", path: string): Deed {
  return { action, organizationId: "", id: "", name: path };
}

async function* entries(
  snapshot: Snapshot,
  files: readonly StateFile[],
  contents: Contents,
): AsyncGenerator<Entry> {
  let secret = files.some(({ file }) => file === SECRET_FILE);
  for (const file of files) {
    contents.files.push(file.file);
    yield file;
  }
  for (const table of snapshot.tables) {
    yield { table: table.name, columns: table.columns };
    let count = 0;
    for await (const chunk of snapshot.rows(table)) {
      for (const row of chunk) {
        if (table.name === "meta" && row[table.columns.indexOf("key")] === SECRET_ROW) {
          // As a file, wherever it was: the next place may keep it otherwise.
          const text = String(row[table.columns.indexOf("value")]);
          if (!secret) yield { file: SECRET_FILE, mode: 0o600, data: btoa(`${text}\n`) };
          if (!secret) contents.files.push(SECRET_FILE);
          secret = true;
          continue;
        }
        count++;
        yield row;
      }
    }
    contents.tables[table.name] = count;
  }
  if (!secret) {
    throw new ControlError(
      `Cannot find ${SECRET_FILE}, without which a backup is of no use: ` +
        `name the control plane's directory by --state-dir`,
    );
  }
}
