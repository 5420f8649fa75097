/**
 * Reading the answer of an admission service as the reference relay reads it: the first JSON value
 * of at most 4096 bytes, member names in any case, whatever stands behind it ignored.
 *
 * @module
 */

/** Most bytes that are read. */
export const MAX_ANSWER = 4096;

const QUOTE = 0x22, BACKSLASH = 0x5c, OPEN = 0x7b, CLOSE = 0x7d;

/**
 * The end (exclusive) of the JSON object that the bytes begin with; undefined while more is needed;
 * -1 when they do not begin with one.
 */
export function objectEnd(bytes: Uint8Array): number | undefined {
  let depth = 0, inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      if (depth === 0) return -1;
      inString = true;
    } else if (byte === OPEN) depth++;
    else if (byte === CLOSE) {
      if (--depth <= 0) return depth === 0 ? i + 1 : -1;
    } else if (depth === 0 && byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) {
      return -1;
    }
  }
  return undefined;
}

/** Whether the text of an object says `"Allow": true`. With several such members all must. */
export function allows(text: string): boolean {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return false;
  }
  if (typeof value !== "object" || value === null) return false;
  const said = Object.entries(value).filter(([name]) => name.toLowerCase() === "allow");
  return said.length > 0 && said.every(([, allow]) => allow === true);
}

/**
 * Reads a body until its first object is complete. What is no whole object within the limit, or
 * within the time that `signal` gives, refuses.
 */
export async function readVerdict(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
): Promise<boolean> {
  if (body === null) return false;
  const held = new Uint8Array(MAX_ANSWER);
  const reader = body.getReader();
  // Aborting the request alone is not enough: an abort beside a chunk can leave the read pending.
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel, { once: true });
  let length = 0;
  try {
    while (length < MAX_ANSWER && !signal.aborted) {
      const { done, value } = await reader.read();
      if (done) return false;
      const part = value.subarray(0, MAX_ANSWER - length);
      held.set(part, length);
      length += part.length;
      const end = objectEnd(held.subarray(0, length));
      if (end === -1) return false;
      if (end !== undefined) return allows(new TextDecoder().decode(held.subarray(0, end)));
    }
    return false;
  } catch {
    return false;
  } finally {
    signal.removeEventListener("abort", cancel);
    // The rest is nobody's business, and a body left open would keep its connection.
    cancel();
  }
}
