/**
 * Tables for people.
 *
 * @module
 */

/** A resource as it came. */
export type Row = Record<string, unknown>;

/** One column. */
export interface Column {
  title: string;
  /** What it shows of a resource; several texts are several lines. */
  of(row: Row): string | string[];
  /** Only `--full` has it. */
  full?: boolean;
  /** Its text is free, and may be cut where the table is too wide. */
  free?: boolean;
}

/** What a table shows of a kind of resource. */
export type View = readonly Column[];

/** Longest cell, in UTF-16 units, and most lines of one. */
const MAX_CELL = 200, MAX_LINES = 100;
/** Blanks between columns; the least width that a free text is cut to. */
const GAP = 2, MIN_FREE = 12;

/** Text from elsewhere on one line, without anything that steers a terminal. */
export function cleanText(text: string, limit = MAX_CELL): string {
  const flat = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
  return flat.length <= limit ? flat : `${flat.slice(0, limit - 1)}…`;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Columns of a terminal that a text takes. */
function widthOf(text: string): number {
  let width = 0;
  for (const c of text) width += WIDE.test(c) ? 2 : /\p{M}/u.test(c) ? 0 : 1;
  return width;
}

/** Text that takes at most `width` columns, with an ellipsis where something is missing. */
function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = "";
  for (const c of text) {
    if (widthOf(kept + c) >= width) break;
    kept += c;
  }
  return `${kept}…`;
}

/** The widths of columns, of which free ones are narrowed as far as that makes the table fit. */
function fitted(widths: number[], free: boolean[], limit: number): number[] {
  let over = widths.reduce((sum, width) => sum + width + GAP, -GAP) - limit;
  const spare = widths.map((width, i) => free[i] ? Math.max(0, width - MIN_FREE) : 0);
  if (over <= 0 || spare.reduce((sum, one) => sum + one, 0) < over) return widths;
  return widths.map((width, i) => {
    const less = Math.min(over, spare[i]!);
    over -= less;
    return width - less;
  });
}

/** How a table is laid out. */
export interface Layout {
  /** With all columns. */
  full: boolean;
  /** With a heading. */
  header: boolean;
  /** Columns of the terminal, to which free texts are cut where that is enough; Infinity: never. */
  width: number;
}

/** The rows as aligned lines, two blanks between columns. */
export function tableLines(view: View, rows: readonly Row[], layout: Layout): string[] {
  const columns = view.filter((column) => layout.full || column.full !== true);
  if (columns.length === 0) return [];
  const cells = rows.map((row) =>
    columns.map(({ of }) => [of(row)].flat().slice(0, MAX_LINES).map((line) => cleanText(line)))
  );
  if (layout.header) cells.unshift(columns.map(({ title }) => [title]));
  const widths = fitted(
    columns.map((_, i) => cells.reduce((most, row) => Math.max(most, ...row[i]!.map(widthOf)), 0)),
    columns.map(({ free }) => free === true),
    layout.width,
  );
  return cells.flatMap((row) => {
    const height = Math.max(1, ...row.map((lines) => lines.length));
    return Array.from({ length: height }, (_, at) =>
      row.map((lines, i) => {
        const text = cut(lines[at] ?? "", widths[i]!);
        return text + " ".repeat(widths[i]! - widthOf(text));
      }).join(" ".repeat(GAP)).trimEnd());
  });
}
