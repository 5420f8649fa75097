/**
 * Histograms that cost a few nanoseconds a value.
 */
import type { Histogram } from "../../state/mod.ts";

export class Distribution {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  /** @param bounds the largest value of each class, rising; larger values are counted apart */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  add(value: number): void {
    const bounds = this.#bounds;
    let i = 0;
    while (i < bounds.length && value > bounds[i]!) i++;
    this.#counts[i]! += 1;
    this.#sum += value;
  }

  snapshot(): Histogram {
    return { bounds: [...this.#bounds], counts: [...this.#counts], sum: this.#sum };
  }
}
