/** Numbers as people read them. */
import type { Histogram } from "../../../state/mod.ts";

/** `12,345`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes in decimal units: `1.2 MB`. */
export function bytes(value: number): string {
  let unit = 0;
  let scaled = Math.max(0, value);
  while (scaled >= 999.5 && unit < UNITS.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return `${unit === 0 || scaled >= 99.5 ? Math.round(scaled) : scaled.toFixed(1)} ${UNITS[unit]}`;
}

/** A duration by its two largest units: `3 d 4 h`, `12 s`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(" ");
}

/** A moment in UTC: `2026-11-23 01:19`. */
export function moment(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "unknown";
  return `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** A short time: `850 us`, `4.2 ms`, `1.5 s`. */
export function latency(seconds: number): string {
  if (!Number.isFinite(seconds)) return "longer";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  return `${Number(seconds.toPrecision(2))} s`;
}

/** A number that tells a stranger the size of things and no more: `about 40`. */
export function roughly(value: number): string {
  if (value < 1) return "none";
  if (value < 10) return "fewer than 10";
  return `about ${count(Number(value.toPrecision(value < 100 ? 1 : 2)))}`;
}

/**
 * The bound below which a part (0 to 1) of a histogram's values lies, in its own unit. Infinity
 * beyond the last bound; undefined without values.
 */
export function quantile(histogram: Histogram, part: number): number | undefined {
  const total = histogram.counts.reduce((sum, n) => sum + n, 0);
  if (total === 0) return undefined;
  let sum = 0;
  for (const [i, n] of histogram.counts.entries()) {
    sum += n;
    if (sum >= part * total) return histogram.bounds[i] ?? Infinity;
  }
  return Infinity;
}

/** A key as logs show it: the first five base64 characters of the 64 hex digits, in brackets. */
export function shortKeyOf(key: string): string {
  if (!/^[0-9a-f]{64}$/.test(key)) return key.slice(0, 64);
  return `[${Uint8Array.fromHex(key).toBase64().slice(0, 5)}]`;
}
