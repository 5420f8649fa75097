/**
 * Words for people: sizes, ages, and tables that fit the terminal.
 *
 * @module
 */
import { cleanText } from "../errors.ts";

const UNITS = ["", "K", "M", "G", "T", "P"];

/** Bytes in at most five characters, with a binary unit: `512`, `2.0K`, `318M`. */
export function bytesText(bytes: number): string {
  let value = bytes, unit = 0;
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)}${UNITS[unit]}`;
}

/** A time span in one unit: `12s`, `5m`, `3h`, `4d`. */
export function spanText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)}h`;
  return `${Math.round(seconds / 86_400)}d`;
}

/** How long ago, in one unit; `never` for null. */
export function ageText(then: number | null, now: number): string {
  return then === null ? "never" : `${spanText(now - then)} ago`;
}

/** Milliseconds with three digits that count: `0.84 ms`, `12.3 ms`, `240 ms`. */
export function msText(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** Text cut to a width, with an ellipsis where something is missing. */
export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/**
 * Rows as aligned columns that fit a width: the columns named in `shrink` are cut for that, the
 * first of them first, down to eight characters each. The last column is not padded.
 */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  { columns = 80, shrink = [0] }: { columns?: number; shrink?: readonly number[] } = {},
): string[] {
  const all = [header, ...rows].map((row) => row.map((cell) => cleanText(cell)));
  const widths = header.map((_, i) => Math.max(...all.map((row) => (row[i] ?? "").length)));
  let over = widths.reduce((sum, width) => sum + width + 2, -2) - columns;
  for (const i of shrink) {
    const less = Math.min(Math.max(over, 0), Math.max(0, widths[i]! - 8));
    widths[i]! -= less;
    over -= less;
  }
  return all.map((row) =>
    row.map((cell, i) => cut(cell, widths[i]!).padEnd(widths[i]!)).join("  ").trimEnd()
  );
}

/** Text broken between words into lines of a width, each behind the indent. */
export function wrap(text: string, { columns = 80, indent = "" } = {}): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of cleanText(text, 2000).split(" ")) {
    if (line.length + 1 + word.length > columns && line.trim() !== "") {
      lines.push(line.trimEnd());
      line = indent;
    }
    line += (line === indent ? "" : " ") + word;
  }
  return [...lines, line.trimEnd()];
}

/** Facts as `name  text`, the text broken where it is too long. */
export function facts(
  all: readonly (readonly [name: string, text: string])[],
  columns = 80,
): string[] {
  const width = Math.max(10, ...all.map(([name]) => name.length));
  return all.flatMap(([name, text]) => {
    const [first = "", ...rest] = wrap(text, { columns, indent: " ".repeat(width + 1) });
    return [`${name.padEnd(width)} ${first.trimStart()}`.trimEnd(), ...rest];
  });
}
