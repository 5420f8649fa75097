/**
 * What a service of macOS or Windows is started with. Their managers have no file of variables that
 * only the system may read: what is in a property list or a task, everybody may ask for, and the
 * registration key is a secret. So `nexd service-run FILE` reads this file by itself.
 *
 * @module
 */
import { AgentError } from "../errors.ts";

/** Content of the file. */
export interface ServiceSettings {
  /** The words behind `nexd`. */
  words: string[];
  /** By name. */
  variables: Record<string, string>;
  /** Where the log goes, as nobody keeps standard error. */
  log: string;
}

/** The file's text; with `variables` undefined those of `before` stay. */
export function settingsText(
  settings: Omit<ServiceSettings, "variables">,
  variables: ReadonlyMap<string, string> | undefined,
  before: string | undefined,
): string {
  const kept = before === undefined ? undefined : parseSettings(before)?.variables;
  const all = variables === undefined ? kept ?? {} : Object.fromEntries(variables);
  return JSON.stringify({ ...settings, variables: all }, undefined, 2) + "\n";
}

/** Undefined for what is none of ours. */
export function parseSettings(text: string): ServiceSettings | undefined {
  const isText = (value: unknown): value is string =>
    typeof value === "string" && !value.includes("\0");
  try {
    const { words, variables, log } = JSON.parse(text) as Partial<ServiceSettings>;
    const good = Array.isArray(words) && words.every(isText) && isText(log) &&
      typeof variables === "object" && variables !== null &&
      Object.entries(variables).every(([name, value]) =>
        /^[A-Z][A-Z0-9_]*$/.test(name) && isText(value)
      );
    return good ? { words, variables, log: log! } : undefined;
  } catch {
    return undefined;
  }
}

/** Reads the file for `nexd service-run`. */
export async function readSettings(path: string): Promise<ServiceSettings> {
  const text = await Deno.readTextFile(path).catch(() => undefined);
  const settings = text === undefined ? undefined : parseSettings(text);
  if (settings !== undefined) return settings;
  throw new AgentError(`Cannot read the service's settings ${path}; run nexd install again`);
}
