import { ReleaseError } from "./errors.ts";

/** A version as semver.org has it, without build metadata. */
const VERSION = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;

/** An entry of the change log. */
export interface Entry {
  version: string;
  /** Day, as 2026-01-31; none while it is not released. */
  date?: string;
  /** What is under the heading, trimmed. */
  text: string;
}

/**
 * The newest entry with a version of a change log in the form of keepachangelog.com 1.1.0.
 *
 * @throws {ReleaseError} when there is none, or its heading is of another form
 */
export function topEntry(changelog: string): Entry {
  const parts = changelog.split(/^## /m).slice(1);
  const part = parts.find((part) => !/^\[?unreleased\]?\s*\n/i.test(part));
  const heading = part?.split("\n")[0]?.trim();
  if (part === undefined || heading === undefined) {
    throw new ReleaseError(
      "CHANGELOG.md has no entry with a version, such as ## [0.1.0] - 2026-01-31",
    );
  }
  const [, version, day] = heading.match(/^\[([^\]\s]+)\] - (\S+)$/) ?? [];
  if (version === undefined || !VERSION.test(version) || !isDay(day!)) {
    throw new ReleaseError(
      `CHANGELOG.md begins with "## ${heading}", not as ## [0.1.0] - 2026-01-31, or "- unreleased"`,
    );
  }
  const text = part.slice(part.indexOf("\n")).trim();
  return { version, text, ...(day === "unreleased" ? {} : { date: day! }) };
}

function isDay(text: string): boolean {
  if (text === "unreleased") return true;
  const time = Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(time) &&
    new Date(time).toISOString().startsWith(text);
}

/**
 * The version that deno.json and the change log agree on, and `tag` with them.
 *
 * @param tag of git, such as v0.1.0; without one the entry may still be without a date
 * @throws {ReleaseError} naming what differs
 */
export function agreedVersion(config: string, changelog: string, tag?: string): Entry {
  const { version } = JSON.parse(config) as { version?: unknown };
  if (typeof version !== "string" || !VERSION.test(version)) {
    throw new ReleaseError(`deno.json has the version "${version}", which is none such as 0.1.0`);
  }
  const entry = topEntry(changelog);
  if (entry.version !== version) {
    throw new ReleaseError(
      `deno.json has version ${version} and CHANGELOG.md begins with ${entry.version}; make them agree`,
    );
  }
  if (tag === undefined) return entry;
  if (tag !== `v${version}`) {
    throw new ReleaseError(
      `the tag is "${tag}", but deno.json's version ${version} wants v${version}`,
    );
  }
  if (entry.date === undefined) {
    throw new ReleaseError(
      `CHANGELOG.md says that ${version} is unreleased; put the day there first`,
    );
  }
  return entry;
}
