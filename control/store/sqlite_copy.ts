import type { DatabaseSync } from "node:sqlite";
import { basename, dirname } from "node:path";
import { getLogger } from "@logtape/logtape";
import { reasonOf } from "../../relay/cert/mod.ts";
import { ControlError } from "../errors.ts";

const log = getLogger(["nexd", "control", "store"]);

/** Copies that stay: older ones are of no use to anybody who upgrades now and then. */
const KEPT = 3;

/**
 * Copies a database before a migration changes it, to `PATH.VERSION.backup` beside it (0600), where
 * VERSION is the last migration that the copy has. ControlError when there is no room: without a way
 * back nothing is changed.
 */
export function copyBeforeMigration(raw: DatabaseSync, path: string, version: string): void {
  const to = `${path}.${version}.backup`;
  const draft = `${to}.new`;
  try {
    // An empty file is what SQLite takes, and this one is nobody else's to read.
    Deno.writeFileSync(draft, new Uint8Array(), { mode: 0o600 });
    raw.prepare("VACUUM INTO ?").run(draft);
    using file = Deno.openSync(draft, { read: true, write: true });
    file.syncSync();
    Deno.renameSync(draft, to);
  } catch (error) {
    removeQuietly(draft);
    throw new ControlError(
      `Cannot copy ${path} before its tables are changed: ${reasonOf(error)}; ` +
        `make room beside it, then start again`,
      { cause: error },
    );
  }
  log.info("the database is brought up to date; {to} is how it was", { to });
  removeOld(path, to);
}

function removeOld(path: string, newest: string): void {
  const dir = dirname(path);
  const copies = [...Deno.readDirSync(dir)]
    .filter(({ name }) => name.startsWith(`${basename(path)}.`) && name.endsWith(".backup"))
    .map(({ name }) => `${dir}/${name}`).filter((copy) => copy !== newest)
    .map((copy) => ({ copy, at: Deno.statSync(copy).mtime?.getTime() ?? 0 }))
    .sort((a, b) => b.at - a.at);
  for (const { copy } of copies.slice(KEPT - 1)) removeQuietly(copy);
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It was not there, or it stays: neither keeps the control plane from starting.
  }
}
