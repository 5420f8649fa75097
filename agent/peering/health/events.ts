/**
 * The bounded history of the way to a peer.
 *
 * @module
 */
import type { PathEvent, PathEventCode } from "../types.ts";

/** Most events kept of one peer. */
export const MAX_EVENTS = 16;

/** What the search for a peer consists of. */
const SEARCH: readonly PathEventCode[] = ["chosen", "suspect", "failed", "unusable"];

/**
 * The history with one more event. The search for a peer that is away goes round and round: what
 * has been noted since the peer was last healthy is not noted again.
 */
export function withEvent(events: readonly PathEvent[], next: PathEvent): readonly PathEvent[] {
  for (let i = SEARCH.includes(next.event) ? events.length - 1 : -1; i >= 0; i--) {
    const { event, method } = events[i]!;
    if (event === next.event && method === next.method) return events;
    if (event === "healthy") break;
  }
  return [...events.slice(-(MAX_EVENTS - 1)), next];
}
