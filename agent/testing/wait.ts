/**
 * Waiting in tests: for a condition, never for a time.
 *
 * @module
 */

/** Resolves once `ready` gives something true; fails with `what` after `limit` ms. */
export async function until<T>(
  ready: () => T | undefined | false | null,
  what: string,
  limit = 10_000,
): Promise<T> {
  for (const end = performance.now() + limit; performance.now() < end;) {
    const value = ready();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`${what}: not within ${limit} ms`);
}
