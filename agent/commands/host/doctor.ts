/**
 * `nexd doctor`: what is wrong on this host, and how to mend it.
 *
 * @module
 */
import { wrap } from "../../ctl/mod.ts";
import { examine, type Finding, type Level, measureNetwork } from "../../doctor/mod.ts";
import { readText } from "../../onboarding/mod.ts";
import { type CommandContext, painted, printAll, type Values } from "../context.ts";
import { readOutside } from "./outside.ts";

/** The findings of this host. Throws usage errors. */
export async function examineThisHost(values: Values): Promise<Finding[]> {
  const outside = await readOutside(values);
  return await examine({
    ...outside,
    interfaceName: outside.status?.interface ?? readText(values, "interface") ?? "wg0",
    driver: (readText(values, "wireguard-driver") ?? "auto") as "auto",
  }, measureNetwork);
}

/** `nexd doctor`; the exit status is 1 when something is broken. */
export async function doctor(values: Values, context: CommandContext): Promise<number> {
  const findings = await examineThisHost(values);
  if (context.json) findings.forEach((finding) => context.print(JSON.stringify(finding)));
  else printAll(context, renderFindings(findings, context));
  return findings.some(({ level }) => level === "broken") ? 1 : 0;
}

const COLORS = { ok: "green", note: "dim", warning: "yellow", broken: "red" } as const;

/** The findings for people, each with its remedy below it. */
export function renderFindings(
  findings: readonly Finding[],
  context: Pick<CommandContext, "color" | "columns">,
): string[] {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const indent = " ".repeat(9 + width + 2);
  const count = (level: Level, one: string, more = one) => {
    const n = findings.filter((finding) => finding.level === level).length;
    return `${n} ${n === 1 ? one : more}`;
  };
  const { columns } = context;
  return [
    ...findings.flatMap(({ check, level, text, remedy }) => {
      const [first = "", ...rest] = wrap(text, { columns, indent });
      return [
        painted(context, COLORS[level], level.padEnd(9)) + check.padEnd(width + 2) +
        first.trimStart(),
        ...rest,
        ...(remedy === undefined ? [] : wrap(`-> ${remedy}`, { columns, indent })),
      ];
    }),
    "",
    [
      count("broken", "broken"),
      count("warning", "warning", "warnings"),
      count("note", "note", "notes"),
      count("ok", "ok"),
    ].join(", "),
  ];
}
