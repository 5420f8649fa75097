/**
 * Writes into `docs/` what the code knows better: the flags and the metrics of the relay. Run it after
 * changing either; `tests/docs_test.ts` fails until it has been.
 *
 * ```sh
 * deno run -A scripts/docs.ts && deno fmt docs
 * ```
 *
 * @module
 */

import { RELAY_ONBOARD_OPTIONS } from "../agent/options.ts";
import { metricsTable } from "../relay/http/mod.ts";
import { RELAY_OPTIONS } from "../relay/options.ts";

/** What a table needs of a flag. */
interface Flag {
  readonly name: string;
  readonly env?: string;
  readonly kind: string;
  readonly default?: string | number | boolean | readonly string[];
  readonly help: string;
  readonly placeholder?: string;
  readonly choices?: readonly string[];
}

const cell = (text: string) => text.replaceAll("|", "\\|");

/** A table of flags: how each is written, its variable, its default, what it does. */
export function flagsTable(flags: readonly Flag[]): string {
  const rows = flags.map((flag) => {
    const dashes = flag.name.length === 1 ? "-" : "--";
    const value = flag.kind === "boolean"
      ? ""
      : ` ${flag.placeholder ?? flag.choices?.join("|") ?? flag.kind.toUpperCase()}`;
    const env = flag.env === undefined ? "" : `\`${flag.env}\``;
    const initial = flag.default === undefined ? "" : `\`${flag.default}\``;
    return `| \`${dashes}${flag.name}${cell(value)}\` | ${env} | ${initial} | ${cell(flag.help)} |`;
  });
  return [
    "| flag | environment | default | what |",
    "| --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

/** The generated parts of `docs/relay-reference.md`, by the name in their markers. */
export function relayParts(): Record<string, string> {
  return {
    flags: flagsTable(RELAY_OPTIONS),
    "onboard flags": flagsTable(RELAY_ONBOARD_OPTIONS),
    metrics: metricsTable(),
  };
}

/** Replaces what stands between a part's markers. Throws when a marker is missing. */
export function replacePart(text: string, name: string, part: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`Cannot write ${name}: its markers are missing`);
  return `${text.slice(0, from + begin.length)}\n\n${part}\n\n${text.slice(to)}`;
}

if (import.meta.main) {
  const path = new URL("../docs/relay-reference.md", import.meta.url);
  let text = await Deno.readTextFile(path);
  for (const [name, part] of Object.entries(relayParts())) text = replacePart(text, name, part);
  await Deno.writeTextFile(path, text);
}
