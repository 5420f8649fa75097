/**
 * What the benches report, and how it is printed.
 *
 * @module
 */

/** The middle of several runs, and the extremes. */
export interface Figure {
  median: number;
  min: number;
  max: number;
}

/** One line of the table. */
export interface BenchRow {
  /** What was measured, e.g. "relay, 16 pairs". */
  what: string;
  value: number;
  unit: string;
  /** Ours over all rounds, where there were several. */
  ours?: Figure;
  /** The same figure of the reference, from the same run. */
  reference?: Figure;
  /** Ours to the reference's. */
  ratio?: number;
  /** What is aimed at, e.g. "ratio <= 0.3". */
  goal?: string;
  /** Whether it is reached. */
  met?: boolean;
}

/** The figure of some runs. There must be one at least. */
export function figureOf(values: number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

/** Three digits or so, with separators. */
function format(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

function spread(figure: Figure | undefined): string {
  if (figure === undefined) return "";
  const { median, min, max } = figure;
  return min === max ? format(median) : `${format(median)} (${format(min)}-${format(max)})`;
}

/** Rows as aligned columns: the figure, and what it was compared with where it was. */
export function table(rows: BenchRow[]): string {
  const compared = rows.some((row) => row.reference !== undefined || row.goal !== undefined);
  const cells = rows.map((row) => [
    row.what,
    row.unit,
    row.ours === undefined ? format(row.value) : spread(row.ours),
    ...(compared
      ? [
        spread(row.reference),
        row.ratio === undefined ? "" : row.ratio.toFixed(2),
        row.goal ?? "",
        row.met === undefined ? "" : row.met ? "met" : "MISSED",
      ]
      : []),
  ]);
  if (compared) cells.unshift(["", "", "ours", "reference", "ratio", "goal", ""]);
  const widths = cells[0]!.map((_, i) => Math.max(...cells.map((cell) => cell[i]!.length)));
  return cells.map((cell) =>
    cell.map((text, i) => i === 2 || i === 3 ? text.padStart(widths[i]!) : text.padEnd(widths[i]!))
      .join("  ").trimEnd()
  ).join("\n");
}
