/**
 * What has to be undone at the end, in reverse order. A step that fails is told and does not keep
 * the others from running, nor hide the error that ended the agent.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { reasonOf } from "../errors.ts";

const log = getLogger(["nexd", "agent"]);

/** A stack of steps back, for `await using`. */
export class Undo implements AsyncDisposable {
  readonly #steps: (() => void | Promise<void>)[] = [];

  /** Adds a step; the last one added runs first. */
  defer(step: () => void | Promise<void> | undefined): void {
    this.#steps.push(async () => await step());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let step; (step = this.#steps.pop()) !== undefined;) {
      try {
        await step();
      } catch (error) {
        log.warn("while stopping: {reason}", { reason: reasonOf(error) });
      }
    }
  }
}
