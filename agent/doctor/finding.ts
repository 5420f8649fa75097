/**
 * What the doctor says.
 *
 * @module
 */

/** `broken`: nexd cannot work like this; `warning`: it works, but not well; `note`: good to know. */
export type Level = "ok" | "note" | "warning" | "broken";

/** One thing that was looked at. */
export interface Finding {
  /** What, in a word or two. */
  check: string;
  level: Level;
  /** What was found. */
  text: string;
  /** What to do about it. */
  remedy?: string;
}

/** Makes the findings of one check. */
export function about(check: string): {
  ok(text: string): Finding;
  note(text: string, remedy?: string): Finding;
  warning(text: string, remedy: string): Finding;
  broken(text: string, remedy: string): Finding;
} {
  const make = (level: Level) => (text: string, remedy?: string): Finding => ({
    check,
    level,
    text,
    ...(remedy === undefined ? {} : { remedy }),
  });
  return { ok: make("ok"), note: make("note"), warning: make("warning"), broken: make("broken") };
}
