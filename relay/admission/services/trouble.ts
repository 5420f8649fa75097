/**
 * Saying once that something fails, and again only when it fails in another way or after a while:
 * a log line for each login would be a gift to whoever floods.
 *
 * @module
 */

/** How long the same trouble is not mentioned again, and any other, ms. */
const QUIET = 60_000, BREATH = 5_000;

/** See the top of the file. */
export class Trouble {
  readonly #say: (reason: string) => void;
  #last = "";
  #at = -Infinity;

  constructor(say: (reason: string) => void) {
    this.#say = say;
  }

  /** It failed. */
  note(error: unknown): void {
    const reason = reasonOf(error).replace(/[\p{Cc}\p{Cf}]+/gu, " ").slice(0, 200);
    const now = performance.now();
    if (now - this.#at < (reason === this.#last ? QUIET : BREATH)) return;
    this.#last = reason;
    this.#at = now;
    this.#say(reason);
  }

  /** It worked. */
  over(): void {
    this.#last = "";
  }
}

/** The innermost cause of a failed request, without the URL, which may hold a secret. */
function reasonOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  const text = inner instanceof Error ? inner.message : String(inner);
  return text.replace(/^error sending request for url \(.*?\): (client error \(\w+\): )?/, "");
}
