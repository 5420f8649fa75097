/**
 * The values of flags, checked: what is absent is never sent, and what is wrong never leaves the host.
 *
 * @module
 */
import { usageError } from "./errors.ts";
import { parseJson } from "./output/mod.ts";

/** The checked values of a command's flags, by flag name. */
export type Values = Record<string, string | number | boolean | string[] | undefined>;

/** Longest JSON in a flag, in UTF-16 units; longest other text. */
const MAX_JSON = 1 << 20, MAX_TEXT = 1024;
/** How far away an expiration may be, ms: 100 years. */
const MAX_SPAN = 100 * 365.25 * 86_400_000;
/** In JSON of the API: no time at all. */
const NEVER = "0001-01-01T00:00:00Z";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Reads the flags of one command. All methods throw usage errors that name the flag. */
export class Flags {
  readonly #values: Values;
  readonly #command: string;

  /** @param command its words, for the sentences */
  constructor(values: Values, command: string) {
    this.#values = values;
    this.#command = command;
  }

  /** The text of a flag, or undefined where it was not given. An empty one is a text. */
  text(name: string, { limit = MAX_TEXT } = {}): string | undefined {
    const value = this.#values[name];
    if (typeof value !== "string") return undefined;
    if (value.length > limit) {
      throw usageError(
        `--${name} has ${value.length} characters, but takes at most ${limit}; shorten it`,
      );
    }
    return value;
  }

  /** As {@link text}; an empty one is as none. */
  filled(name: string): string | undefined {
    return this.text(name) || undefined;
  }

  /** The text of a flag that must be given. */
  required(name: string): string {
    return this.filled(name) ?? this.#missing(name, "TEXT");
  }

  /** A UUID in lower case, or undefined where it was not given. */
  id(name: string): string | undefined {
    const value = this.filled(name);
    if (value === undefined) return undefined;
    if (!UUID.test(value)) {
      throw usageError(
        `--${name} ${value.slice(0, 60)} is not an id; give one like ` +
          "5f0c3b1e-8d1a-4c55-9a0e-2b6f7d9c1a10",
      );
    }
    return value.toLowerCase();
  }

  /** A UUID that must be given. */
  requiredId(name: string): string {
    return this.id(name) ?? this.#missing(name, "UUID");
  }

  /** A whole number of a range, or undefined where it was not given. */
  integer(name: string, least: number, most: number): number | undefined {
    const value = this.filled(name);
    if (value === undefined) return undefined;
    const number = Number(value);
    if (/^\d{1,9}$/.test(value) && number >= least && number <= most) return number;
    throw usageError(`--${name} ${value.slice(0, 60)} is no number from ${least} to ${most}`);
  }

  /** Whether a switch is on. */
  on(name: string): boolean {
    return this.#values[name] === true;
  }

  /** The words of a flag that may be repeated; each must be one of `choices`. */
  words(name: string, choices: readonly string[]): string[] {
    const value = this.#values[name];
    const words = Array.isArray(value) ? [...new Set(value)] : [];
    const wrong = words.find((word) => !choices.includes(word));
    if (wrong !== undefined) {
      throw usageError(`--${name} ${wrong.slice(0, 60)} is none of ${choices.join(", ")}`);
    }
    return words;
  }

  /** A JSON object, or undefined where it was not given. */
  object(name: string): Record<string, unknown> | undefined {
    const value = this.#json(name, "object");
    if (value === undefined) return undefined;
    if (!isPlainObject(value)) throw this.#notJson(name, "object");
    return value;
  }

  /** A JSON object that must be given. */
  requiredObject(name: string): Record<string, unknown> {
    return this.object(name) ?? this.#missing(name, "JSON");
  }

  /** A JSON array of objects, or undefined where it was not given. */
  objects(name: string): Record<string, unknown>[] | undefined {
    const value = this.#json(name, "array of objects");
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every(isPlainObject)) {
      throw this.#notJson(name, "array of objects");
    }
    return value;
  }

  /**
   * A time in RFC 3339: from a span such as `24h` or `1h30m` from now on, from such a time itself, or
   * from `never`. Undefined where it was not given.
   *
   * @param now ms since the epoch
   */
  time(name: string, now: number): string | undefined {
    const value = this.filled(name);
    if (value === undefined || /^0[a-z]*$/.test(value)) return undefined;
    if (value === "never") return NEVER;
    const span = spanOf(value);
    const then = span === undefined ? timeOf(value) : now + span;
    if (then === undefined || then > now + MAX_SPAN) {
      throw usageError(
        `--${name} ${
          value.slice(0, 60)
        } is neither a time from now on, such as 90m, 24h or 7d, nor ` +
          "an RFC 3339 time, such as 2030-01-31T12:00:00Z",
      );
    }
    if (then <= now) {
      throw usageError(`--${name} ${value.slice(0, 60)} is in the past; give a time to come`);
    }
    return new Date(then).toISOString().replace(/\.\d+Z$/, "Z");
  }

  #json(name: string, wanted: string): unknown {
    const text = this.text(name, { limit: MAX_JSON });
    if (text === undefined || text === "") return undefined;
    try {
      return parseJson(text);
    } catch {
      throw this.#notJson(name, wanted);
    }
  }

  #notJson(name: string, wanted: string) {
    const text = `${this.#values[name]}`;
    const shown = text.length > 60 ? `${text.slice(0, 59)}…` : text;
    return usageError(`--${name} ${shown} is not a JSON ${wanted}; check quotes and brackets`);
  }

  #missing(name: string, placeholder: string): never {
    throw usageError(`nexd ${this.#command} needs --${name} ${placeholder}; add it`);
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const UNITS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** Milliseconds of a span as Go writes it, with days and weeks besides; undefined for other texts. */
function spanOf(text: string): number | undefined {
  if (!/^(\d{1,9}(\.\d{1,9})?(ms|[smhdw]))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/([\d.]+)(ms|[smhdw])/g)) {
    sum += Number(count) * UNITS[unit!]!;
  }
  return sum;
}

/** Milliseconds since the epoch of an RFC 3339 time; undefined for other texts. */
function timeOf(text: string): number | undefined {
  const form = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;
  const at = form.test(text) ? Date.parse(text.toUpperCase()) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}
