/**
 * The log on standard error: one line a meaningful event.
 *
 * @module
 */
import type { Values } from "./flags.ts";
import { writeError } from "./stderr.ts";

/**
 * Text that a stranger may have chosen, for a terminal and a log: one that could end the line could
 * begin another, and one that could steer the terminal could hide it.
 */
export function oneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Sends the log to standard error: one line a meaningful event. */
export async function configureLog(values: Values): Promise<void> {
  const { configure, getTextFormatter, jsonLinesFormatter } = await import("@logtape/logtape");
  const format = values["log-format"] === "json" ? jsonLinesFormatter : getTextFormatter({
    timestamp: "time",
    category: (parts) => parts.slice(1).join("."),
    // Texts without quotes; everything else as the runtime shows it.
    value: (value, inspect) => typeof value === "string" ? oneLine(value) : inspect(value),
  });
  const debug = values.debug === true || Deno.env.get("NEXD_LOGLEVEL");
  const level = debug ? "debug" : values["log-level"];
  await configure({
    reset: true,
    sinks: { stderr: (record) => writeError(format(record)) },
    loggers: [
      { category: ["logtape"], sinks: ["stderr"], lowestLevel: "warning" },
      {
        category: ["nexd"],
        sinks: ["stderr"],
        lowestLevel: level as "debug" | "info" | "warning" | "error",
      },
    ],
  });
}
