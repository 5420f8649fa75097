/**
 * When a pair of hosts looks for a better way: at the same time on both sides, by their clocks.
 *
 * @module
 */

/** Time between two looks at a better method, ms; doubled for each look in vain, up to eightfold. */
export const PROBE_INTERVAL = 300_000;

/** The number of the current probing slot of a pair of keys: the same on both sides. */
export function slotOf(a: string, b: string, now: number): number {
  return Math.floor((now + offsetOf(a, b)) / PROBE_INTERVAL);
}

/** When a slot of a pair begins, ms since the epoch. */
export function startOfSlot(a: string, b: string, slot: number): number {
  return slot * PROBE_INTERVAL - offsetOf(a, b);
}

/** Pairs look at different times, each at the same time in each slot. */
function offsetOf(a: string, b: string): number {
  const both = a < b ? a + b : b + a;
  let hash = 0x811c9dc5;
  for (let i = 0; i < both.length; i++) {
    hash = Math.imul(hash ^ both.charCodeAt(i), 0x01000193);
  }
  return (hash >>> 0) % PROBE_INTERVAL;
}
