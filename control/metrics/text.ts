/** Prometheus' text format, version 0.0.4. */

/** Content type of the format. */
export const TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Label names and values, in their order. */
export type Labels = Readonly<Record<string, string>>;

/** Counts how often values were at most so great; `bounds` rise, the last count is of all others. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array(bounds.length + 1).fill(0);
  }

  add(value: number): void {
    const at = this.bounds.findIndex((bound) => value <= bound);
    this.counts[at < 0 ? this.bounds.length : at]!++;
    this.sum += value;
  }
}

/** Writes families of samples, one after the other. */
export class Text {
  readonly #lines: string[] = [];

  /** One family of counters or gauges. */
  family(
    name: string,
    type: "counter" | "gauge",
    help: string,
    samples: Iterable<readonly [Labels, number]>,
  ): void {
    this.#head(name, type, help);
    for (const [labels, value] of samples) this.#lines.push(`${name}${text(labels)} ${value}`);
  }

  /** One family of a single value. */
  one(name: string, type: "counter" | "gauge", help: string, value: number): void {
    this.family(name, type, help, [[{}, value]]);
  }

  /** One family of histograms. */
  histograms(name: string, help: string, samples: Iterable<readonly [Labels, Histogram]>): void {
    this.#head(name, "histogram", help);
    for (const [labels, { bounds, counts, sum }] of samples) {
      let total = 0;
      for (const [i, count] of counts.entries()) {
        total += count;
        const le = i < bounds.length ? String(bounds[i]) : "+Inf";
        this.#lines.push(`${name}_bucket${text({ ...labels, le })} ${total}`);
      }
      this.#lines.push(`${name}_sum${text(labels)} ${sum}`);
      this.#lines.push(`${name}_count${text(labels)} ${total}`);
    }
  }

  toString(): string {
    return this.#lines.join("\n") + "\n";
  }

  #head(name: string, type: string, help: string): void {
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }
}

function text(labels: Labels): string {
  const all = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
    return `${name}="${escaped}"`;
  });
  return all.length === 0 ? "" : `{${all.join(",")}}`;
}
