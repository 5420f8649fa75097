/** What a field was and what it became; an absent one was not there, or is no more. */
export interface Change {
  old?: Value;
  new?: Value;
}

type Value = string | number | boolean | null;

/** By the name of the field. */
export type Changes = Record<string, Change>;

/** Longest value, in UTF-16 units: a log is no copy of everything. */
const MAX_VALUE = 256;

/**
 * How two states of something differ in these fields, each of which is safe to be read by whoever may
 * read the log. Lists and objects are told as JSON, long values are cut.
 *
 * @param before undefined for what was made
 * @param after undefined for what was deleted
 */
export function difference<T extends object>(
  before: T | undefined,
  after: T | undefined,
  fields: readonly (keyof T & string)[],
): Changes {
  const changes: Changes = {};
  for (const field of fields) {
    const [old, now] = before && after
      ? [told(before[field]), told(after[field])]
      : [set(before?.[field]), set(after?.[field])];
    if (old === now) continue;
    changes[field] = {
      ...(old === undefined ? {} : { old: cut(old) }),
      ...(now === undefined ? {} : { new: cut(now) }),
    };
  }
  return changes;
}

function told(value: unknown): Value | undefined {
  if (value === undefined || value === "") return undefined;
  if (value === null || typeof value === "number" || typeof value === "boolean") return value;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Of what was made or deleted: only what it really had. */
function set(value: unknown): Value | undefined {
  return value === null || value === false ? undefined : told(value);
}

function cut(value: Value): Value {
  return typeof value === "string" ? clip(value, MAX_VALUE) : value;
}

/** A text that every database can keep, of at most so many UTF-16 units. */
export function clip(text: string, most: number): string {
  const plain = text.replaceAll("\0", "\ufffd");
  return (plain.length > most ? `${plain.slice(0, most - 1)}…` : plain).toWellFormed();
}
