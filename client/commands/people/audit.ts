/**
 * `nexd audit list`: who did what when.
 *
 * @module
 */
import type { Calls } from "../../calls.ts";
import { usageError } from "../../errors.ts";
import { jsonText, parseJson } from "../../output/mod.ts";
import type { Flags } from "../../values.ts";
import type { Command } from "../types.ts";
import { AUDIT } from "../views.ts";

const PATH = "/api/audit";

/** Entries shown unless asked otherwise, and the most that are read at a time. */
const SHOWN = 100, MOST = 10_000;
/** How often it is asked what is new, ms. */
const PAUSE = 2_000;

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** By the words of the command. */
export const AUDIT_COMMANDS: Record<string, Command> = {
  "audit list": async ({ flags, calls }) => {
    const limit = flags.integer("limit", 1, MOST) ?? SHOWN;
    const options = optionsOf(flags);
    const newest = await read(calls, { ...options, range: jsonText([0, limit - 1]) });
    if (!flags.on("follow")) return { text: newest, view: AUDIT };
    const rows = rowsOf(newest);
    return {
      text: jsonText(rows.toReversed()),
      view: AUDIT,
      more: (signal) => follow(calls, options, rows[0]?.id ?? 0, signal),
    };
  },
};

/** The entries after a number, as they come, the oldest first. */
async function* follow(
  calls: Calls,
  options: Record<string, string>,
  last: number,
  signal: AbortSignal,
): AsyncGenerator<string> {
  for (;;) {
    await pause(signal);
    const text = await read(calls, {
      ...options,
      after: `${last}`,
      sort: '["id","ASC"]',
      range: jsonText([0, MOST - 1]),
    });
    const rows = rowsOf(text);
    if (rows.length === 0) continue;
    last = rows.at(-1)!.id;
    yield text;
  }
}

function rowsOf(text: string): { id: number }[] {
  const rows = parseJson(text);
  return (Array.isArray(rows) ? rows : []).filter((row) => Number.isSafeInteger(row?.id));
}

async function read(calls: Calls, options: Record<string, string>): Promise<string> {
  return await calls.get(`${PATH}?${new URLSearchParams(options)}`);
}

function optionsOf(flags: Flags): Record<string, string> {
  const filter: Record<string, string> = {};
  for (const name of ["actor", "resource", "action"]) {
    const value = flags.filled(name);
    if (value !== undefined) filter[name] = value;
  }
  const organization = flags.id("organization-id");
  if (organization !== undefined) filter.organization_id = organization;
  const since = sinceOf(flags.filled("since"));
  return {
    ...(Object.keys(filter).length === 0 ? {} : { filter: jsonText(filter) }),
    ...(since === undefined ? {} : { since }),
  };
}

/** A time, or how long ago. */
function sinceOf(given: string | undefined): string | undefined {
  if (given === undefined) return undefined;
  const [, count, unit] = /^(\d{1,6})([smhdw])$/.exec(given) ?? [];
  const ms = count === undefined
    ? /^\d{4}-\d\d-\d\d/.test(given) ? Date.parse(given) : NaN
    : Date.now() - Number(count) * UNITS[unit!]! * 1000;
  const time = new Date(ms);
  if (!Number.isNaN(time.getTime()) && time.getUTCFullYear() > 0) return time.toISOString();
  throw usageError(
    `--since ${given.slice(0, 60)} is no time; give one like 24h, 7d or 2026-01-31T08:00:00Z`,
  );
}

/** Ends early when the command is interrupted; the next call then says so. */
function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, PAUSE);
    if (signal.aborted) done();
    signal.addEventListener("abort", done);
  });
}
