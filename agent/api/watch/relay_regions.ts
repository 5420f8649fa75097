/**
 * Whether the control plane tells of public relays, which Nexodus' own does not: asked by a plain call
 * before a watch asks for them, as that would be refused, and by some never be finished refusing.
 *
 * @module
 */
import type { WatchCache } from "./cache.ts";
import type { Api } from "../calls.ts";
import { ApiFailure } from "../failure.ts";

/**
 * Puts the public relays into the cache, or that there are none to be told of. Asks only where the
 * cache wants them and does not know; what fails for another reason is asked again next time.
 */
export async function learnRelayRegions(
  api: Partial<Pick<Api, "listRelayRegions">>,
  token: string,
  cache: WatchCache,
  signal: AbortSignal,
): Promise<void> {
  if (api.listRelayRegions === undefined || !cache.asksForRegions(performance.now())) return;
  try {
    cache.learnRegions(await api.listRelayRegions(token, signal), performance.now());
  } catch (error) {
    const { status } = error instanceof ApiFailure ? error : {};
    // A token that is no good any more is for the watch to find out.
    if (status !== undefined && status >= 400 && status < 500 && status !== 401 && status !== 429) {
      cache.learnRegions(undefined, performance.now());
    }
  }
}
