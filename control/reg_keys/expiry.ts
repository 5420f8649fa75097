/**
 * Times of registration keys. Besides RFC 3339 the text of Go's `time.String()` is read, which the Go
 * administration tool sends: `2026-11-23 02:18:00.158602142 +0000 UTC m=+3600.001386219`.
 */

const RFC3339 = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/;
const GO =
  /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(\.\d{1,9})? ([+-]\d{2})(\d{2}) \S{1,8}( m=[+-]\d{1,20}\.\d{1,9})?$/;

/** Go's zero time, which clears a field. */
const ZERO = Date.parse("0001-01-01T00:00:00Z");

/** A time as ISO 8601 in UTC, to the millisecond; null for Go's zero time; undefined: not a time. */
export function parseTime(text: string): string | null | undefined {
  const rfc = RFC3339.exec(text);
  const go = rfc ? null : GO.exec(text);
  const match = rfc ?? go;
  if (!match) return undefined;
  const zone = go ? `${go[4]}:${go[5]}` : match[4]!.toUpperCase();
  const fraction = (match[3] ?? ".").slice(0, 4).padEnd(4, "0");
  const ms = Date.parse(`${match[1]}T${match[2]}${fraction}${zone}`);
  if (Number.isNaN(ms)) return undefined;
  return ms === ZERO ? null : new Date(ms).toISOString().replace(".000Z", "Z");
}
