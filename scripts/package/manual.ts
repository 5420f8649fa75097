/**
 * The manual page, made from the tree of commands.
 *
 * @module
 */
import type { CommandTree } from "../../command_line/mod.ts";

/** Text as troff takes it: no request at a line's start, no escape, dashes as they are typed. */
export function troff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^([.'])/gm, "\\&$1")
    .replace(/[^\n\x20-\x7e]/gu, (sign) => `\\[u${hex(sign.codePointAt(0)!)}]`);
}

const hex = (code: number) => code.toString(16).toUpperCase().padStart(4, "0");

/** Every command below one that does something by itself, with its words. */
function commands(tree: CommandTree, words: string[]): [string, CommandTree][] {
  const below = tree.commands.flatMap((one) => commands(one, [...words, one.name]));
  return [[words.join(" "), tree], ...below];
}

/**
 * nexd(1).
 *
 * @param epoch seconds since 1970, of its date
 */
export function manual(tree: CommandTree, version: string, epoch: number): string {
  const date = new Date(epoch * 1000).toISOString().slice(0, 10);
  const lines = [
    `.TH NEXD 1 "${date}" "nexd ${version}" "User Commands"`,
    ".SH NAME",
    "nexd \\- WireGuard mesh agent, DERP relay and control plane",
    ".SH SYNOPSIS",
    ".B nexd",
    "[\\fICOMMAND\\fR] [\\fIOPTION\\fR]...",
    ".SH DESCRIPTION",
    troff(tree.description),
    ".PP",
    "Without a command it is the agent. Every option can also be given as the variable that",
    ".B nexd COMMAND \\-\\-help",
    "names beside it.",
    ".SH COMMANDS",
  ];
  for (const [words, { description, flags, args }] of commands(tree, ["nexd"])) {
    const named = args.map((name) => ` \\fI${troff(name)}\\fR`).join("");
    lines.push(`.SS "${troff(words)}${named}"`, troff(description) + ".");
    for (const { flag, help, value } of flags) {
      lines.push(".TP", `\\fB${troff(flag)}\\fR${value ? " \\fIVALUE\\fR" : ""}`, troff(help));
    }
  }
  lines.push(
    ".SH FILES",
    ".TP",
    ".I /etc/default/nexd, /etc/default/nexd\\-relay, /etc/default/nexd\\-control, /etc/default/nexd\\-serve",
    "settings of the services",
    ".TP",
    ".I /var/lib/nexd, /var/lib/nexd\\-relay, /var/lib/nexd\\-control",
    "state of the agent, of the relay and of the control plane",
    ".SH EXIT STATUS",
    "0 done; 1 failed, or the answer is no; 2 wrong usage.",
    ".SH SEE ALSO",
    '.BR wg (8), " " systemctl (1)',
  );
  return lines.join("\n") + "\n";
}
