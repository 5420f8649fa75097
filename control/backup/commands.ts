import { checkPostgresUrl } from "../store/mod.ts";
import type { ControlValues } from "../config.ts";
import { ControlError } from "../errors.ts";
import { backUp, type Place } from "./backup.ts";
import { restore } from "./restore.ts";

/** What the command line gives to a command on a control plane's state. */
export interface BackupContext {
  json: boolean;
  args: readonly string[];
  version: string;
  print(line: string): void;
}

/** `nexd backup FILE`; ControlErrors for what the user can put right. */
export async function runBackup(values: ControlValues, context: BackupContext): Promise<void> {
  const file = fileOf(context, "backup");
  const place = placeOf(values);
  const { tables, files, rows, bytes, createdAt } = await backUp(place, file, context.version);
  if (context.json) {
    return context.print(
      JSON.stringify({ file, bytes, created_at: createdAt, rows, tables, files }),
    );
  }
  context.print(`Backed up ${told(tables)} and ${files.length} files to ${file} (${size(bytes)})`);
  context.print("It holds the secrets, too: whoever has it can act as the control plane.");
}

/** `nexd restore FILE`; ControlErrors for what the user can put right. */
export async function runRestore(values: ControlValues, context: BackupContext): Promise<void> {
  const file = fileOf(context, "restore");
  const place = placeOf(values);
  const { tables, files, rows, header } = await restore(place, file, {
    force: values.force === true,
  });
  const { created_at, nexd } = header;
  if (context.json) {
    return context.print(JSON.stringify({ file, created_at, nexd, rows, tables, files }));
  }
  const into = place.databaseUrl === undefined ? "" : " into the database";
  context.print(`Restored ${told(tables)}${into} and ${files.length} files into ${place.stateDir}`);
  context.print(`They are of ${created_at}; start the control plane now.`);
}

function fileOf({ args }: BackupContext, command: string): string {
  const [file, ...rest] = args;
  if (file === undefined || rest.length > 0) {
    throw new ControlError(`Name one file: nexd ${command} FILE`, { exitCode: 2 });
  }
  return file;
}

/** The state that the flags name, or the only one that there is where `nexd` keeps it by default. */
export function placeOf(values: ControlValues): Place {
  const text = (name: string) => {
    const value = values[name];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const databaseUrl = text("database-url");
  if (databaseUrl !== undefined) checkPostgresUrl(databaseUrl);
  const given = text("state-dir");
  if (given !== undefined) return { stateDir: given, databaseUrl };
  const home = Deno.env.get(Deno.build.os === "windows" ? "USERPROFILE" : "HOME");
  const above = home === undefined || home === "" || home === "/root"
    ? "/var/lib/nexd"
    : `${home}/.nexodus`;
  const known = ["control", "serve"].map((name) => `${above}/${name}`).filter(isDirectory);
  if (known.length === 1) return { stateDir: known[0]!, databaseUrl };
  throw new ControlError(
    known.length === 0
      ? `--state-dir is missing: there is neither ${above}/control nor ${above}/serve`
      : `--state-dir is missing: choose ${known.join(" or ")}`,
    { exitCode: 2 },
  );
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

function told(tables: Record<string, number>): string {
  const { accounts = 0, devices = 0 } = tables;
  return `${accounts} account${accounts === 1 ? "" : "s"}, ${devices} device${
    devices === 1 ? "" : "s"
  }`;
}

function size(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
