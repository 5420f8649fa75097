/**
 * JSON as the reference reads it: member names in any case, unknown members ignored, types exact,
 * integers written as integers, null meaning "not said".
 *
 * @module
 */

import { DerpError } from "../error.ts";

/** A member's value and, for numbers, the digits it was written with. */
export interface Member {
  value: unknown;
  source: string | undefined;
}

/** Takes the value of one member. */
export type Take = (member: Member) => void;

const text = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Parses a JSON object and hands its known members, in their order, to `known`.
 *
 * @param what name of the frame, for messages
 * @param json UTF-8; invalid bytes become U+FFFD. `null` is an object without members
 * @param known by member name in lower case
 * @throws {DerpError} when it is not JSON, not an object, or a member has another type
 */
export function parseMembers(what: string, json: Uint8Array, known: Record<string, Take>): void {
  let root: unknown;
  // The digits of numbers, by the object they stand in: a nested object may use the same names.
  const sources = new Map<unknown, Map<string, string>>();
  try {
    root = JSON.parse(
      text.decode(json),
      function (this: unknown, name: string, value: unknown, context?: { source?: string }) {
        if (typeof value === "number" && Object.hasOwn(known, name.toLowerCase())) {
          const digits = sources.get(this) ?? new Map<string, string>();
          sources.set(this, digits.set(name, context?.source ?? ""));
        }
        return value;
      },
    );
  } catch {
    throw new DerpError(`Cannot read ${what}: it is not JSON`);
  }
  if (root === null) return;
  if (typeof root !== "object" || Array.isArray(root)) {
    throw new DerpError(`Cannot read ${what}: it is not a JSON object`);
  }
  for (const [name, value] of Object.entries(root)) {
    const folded = name.toLowerCase();
    if (Object.hasOwn(known, folded)) {
      known[folded]!({ value, source: sources.get(root)?.get(name) });
    }
  }
}

/** Takes an integer in 64 bits, written without fraction and exponent. */
export function integerMember(what: string, take: (value: number) => void): Take {
  return ({ value, source }) => {
    if (value === null) return;
    if (
      typeof value !== "number" || Math.abs(value) > 2 ** 63 || !/^-?[0-9]+$/.test(source ?? "")
    ) throw new DerpError(`Cannot read ${what}: a number is not an integer`);
    take(value);
  };
}

/** Takes true or false. */
export function booleanMember(what: string, take: (value: boolean) => void): Take {
  return ({ value }) => {
    if (value === null) return;
    if (typeof value !== "boolean") {
      throw new DerpError(`Cannot read ${what}: a flag is not true or false`);
    }
    take(value);
  };
}

/** Takes a string. */
export function stringMember(what: string, take: (value: string) => void): Take {
  return ({ value }) => {
    if (value === null) return;
    if (typeof value !== "string") throw new DerpError(`Cannot read ${what}: a text is no string`);
    take(value);
  };
}
