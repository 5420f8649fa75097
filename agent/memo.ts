/** Remembering what a pure function made of a text, where the same texts come again and again. */

/** A longer text is worked out each time: only hostile ones are. */
const LONGEST = 64;

/**
 * `make`, which remembers its answers. An agent with a thousand peers reads the same few thousand
 * addresses in every pass of its loop, which would be most of what it does.
 *
 * @param make pure; what it answers is given to all who ask, so nobody may change it. What it throws
 *   is not remembered
 * @param most texts remembered; when there are more all are forgotten
 * @example
 * ```ts
 * const parse = remembering((text) => new URL(text).host);
 * ```
 */
export function remembering<T>(make: (text: string) => T, most = 16_384): (text: string) => T {
  const known = new Map<string, { answer: T }>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found.answer;
    const answer = make(text);
    if (text.length > LONGEST) return answer;
    if (known.size >= most) known.clear();
    known.set(text, { answer });
    return answer;
  };
}
