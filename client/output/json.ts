/**
 * JSON as it comes and goes: whole numbers of any size survive, keys are in one order, and characters
 * that could steer a terminal are escaped.
 *
 * @module
 */

/** What the runtime has and its types do not know yet. */
const { parse, rawJSON } = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
};

/** How deep an answer may be. */
const MAX_DEPTH = 100;

/**
 * Reads JSON; a whole number that has no exact floating-point form becomes a bigint.
 *
 * @throws {SyntaxError | RangeError}
 */
export function parseJson(text: string): unknown {
  return parse(
    text,
    (_key, value, { source }) =>
      typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(source ?? "")
        ? BigInt(source!)
        : value,
  );
}

/** A value of {@link parseJson} as JSON, on one line without an indent. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_key, one) => typeof one === "bigint" ? rawJSON(String(one)) : one,
    indent,
  );
}

/** Characters that a terminal may take as an order, or that turn text around, besides line breaks. */
const HOSTILE = /[^\P{Cc}\n\t]|[\p{Cf}\p{Zl}\p{Zp}]/gu;

/** JSON or YAML whose strings are in double quotes where they are {@link isHostile}, made harmless. */
export function escaped(text: string): string {
  return text.replace(
    HOSTILE,
    (c) =>
      Array.from(
        { length: c.length },
        (_, i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, "0")}`,
      ).join(""),
  );
}

/** Whether a text has characters that must not reach a terminal. */
export function isHostile(text: string): boolean {
  return text.search(HOSTILE) >= 0;
}

/** Fields whose values are the user's own, and stay as they are. */
const FREE = new Set(["settings", "value"]);

/**
 * An answer in the form that programs get: keys in order, and fields without a value left out, as
 * `nexctl` has it.
 *
 * @throws {RangeError} when it is deeper than any resource
 */
export function inOrder(value: unknown, free = false, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new RangeError("too deep");
  if (Array.isArray(value)) return value.map((one) => inOrder(one, free, depth + 1));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, one]) => free || one !== null)
      .sort(([a], [b]) => a < b ? -1 : 1)
      .map(([key, one]) => [key, inOrder(one, free || FREE.has(key), depth + 1)]),
  );
}
