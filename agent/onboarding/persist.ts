/**
 * Trying again, for as long as it can help.
 *
 * @module
 */
import { ApiFailure, Backoff, pause } from "../api/mod.ts";
import { AgentError } from "../errors.ts";

/** How long, and how, {@link persist} tries. */
interface Persistence {
  signal: AbortSignal;
  /** Give up after this long, ms; undefined: never. A bounded try also gives up on a bad certificate. */
  giveUpAfterMs?: number;
  /** Called when the reason of the failure is another than last time. */
  onTrouble(reason: string): void;
  backoff?: Backoff;
}

/**
 * Repeats an onboarding attempt until it succeeds, is refused, or the time is up.
 *
 * @throws what the attempt threw: always a refusal, other failures only in a bounded try
 * @returns undefined when the signal aborted
 */
export async function persist<T>(
  attempt: () => Promise<T>,
  options: Persistence,
): Promise<T | undefined> {
  const { signal, giveUpAfterMs } = options;
  const backoff = options.backoff ?? new Backoff({ base: 1000, max: 15_000 });
  const began = performance.now();
  let last = "";
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!(error instanceof ApiFailure)) throw error;
      const bounded = giveUpAfterMs !== undefined;
      if (bounded && !error.transient) throw error;
      const delay = Math.max((error.retryAfter ?? 0) * 1000, backoff.next());
      if (bounded && performance.now() - began + delay > giveUpAfterMs) {
        const seconds = Math.round((performance.now() - began) / 1000);
        throw new AgentError(
          `${error.message}, tried for ${seconds} s; check the service URL and the network`,
          { cause: error },
        );
      }
      if (error.message !== last) options.onTrouble(error.message);
      last = error.message;
      await pause(delay, signal);
    }
  }
  return undefined;
}
