/**
 * The commands of a document: its fenced `sh` and `console` blocks, and what comments before a block
 * say of it. Such a comment is not seen where the document is read:
 *
 * - `<!-- not run: REASON -->`: nothing runs this block
 * - `<!-- run by FILE -->`: that file of the project runs it, as it has the same text or takes it from
 *   the page
 * - `<!-- run: on a; on b; NAME=b; with --dry-run; ends 1 -->`: how it is run, each part if needed:
 *   on that host, with a word replaced, with more flags, expecting a status of the last command; also
 *   `first COMMAND`, which makes what the reader has, and `for 2 s`, for what goes on until Ctrl-C
 *
 * In a `console` block lines that begin with `$ ` are commands, and the others what they print.
 *
 * @module
 */

/** One command, with what the document says that it prints. */
export interface Step {
  command: string;
  /** Host that a comment in the block names, in the document's words. */
  place?: string;
  /** Lines of output; none where the document shows none. */
  output: string[];
}

/** How a block is run. */
export type Manner =
  | {
    kind: "run";
    /** Hosts that run it, one after the other; none: the usual one. */
    hosts: string[];
    words: [string, string][];
    more?: string;
    first?: string;
    seconds?: number;
    ends: number;
  }
  | { kind: "not run"; reason: string }
  | { kind: "elsewhere"; file: string };

/** A block of commands. */
export interface Block {
  page: string;
  /** Of its fence, from 1. */
  line: number;
  manner: Manner;
  steps: Step[];
}

const FENCE = /^( *)```(\w*) *$/;
const RUNNABLE = new Set(["sh", "shell", "bash", "console"]);

/**
 * The blocks of a page.
 *
 * @throws {Error} with page and line, when a comment before a block says what is not understood, or a
 * fence is not closed
 */
export function blocksOf(page: string, text: string): Block[] {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, indent = "", language = ""] = lines[at]!.match(FENCE) ?? [];
    if (!FENCE.test(lines[at]!)) continue;
    const end = lines.findIndex((line, i) => i > at && line === `${indent}\`\`\``);
    if (end < 0) throw new Error(`${page}:${at + 1}: this block does not end`);
    if (RUNNABLE.has(language)) {
      const content = lines.slice(at + 1, end).map((line) => line.slice(indent.length));
      blocks.push({
        page,
        line: at + 1,
        manner: mannerOf(lines.slice(0, at), `${page}:${at + 1}`),
        steps: language === "console" ? session(content) : script(content),
      });
    }
    at = end;
  }
  return blocks;
}

/** What the comment before a block says. */
function mannerOf(before: string[], where: string): Manner {
  const manner: Manner = { kind: "run", hosts: [], words: [], ends: 0 };
  let last = before.length - 1;
  while (last >= 0 && before[last]!.trim() === "") last--;
  if (!before[last]?.trim().endsWith("-->")) return manner;
  let first = last;
  while (first > 0 && !before[first]!.includes("<!--")) first--;
  const comment = before.slice(first, last + 1).map((line) => line.trim()).join(" ")
    .replace(/^<!--\s*|\s*-->$/g, "");
  const [, reason] = comment.match(/^not run: (.{8,})$/) ?? [];
  if (reason !== undefined) return { kind: "not run", reason };
  const [, file] = comment.match(/^run by (\S+)$/) ?? [];
  if (file !== undefined) return { kind: "elsewhere", file };
  const [, parts] = comment.match(/^run: (.+)$/) ?? [];
  if (parts === undefined) {
    // Comments of other kinds (markers of generated parts) are no word about the block.
    if (/^(not )?run\b/.test(comment)) throw new Error(`${where}: cannot read "${comment}"`);
    return manner;
  }
  for (const part of parts.split(/;\s*/)) {
    const [, host] = part.match(/^on (\w+)$/) ?? [];
    const [, word, value] = part.match(/^([\w.-]+)=(\S+)$/) ?? [];
    const [, more] = part.match(/^with (.+)$/) ?? [];
    const [, ends] = part.match(/^ends (\d+)$/) ?? [];
    const [, first] = part.match(/^first (.+)$/) ?? [];
    const [, seconds] = part.match(/^for (\d+) s$/) ?? [];
    if (first !== undefined) manner.first = first;
    else if (seconds !== undefined) manner.seconds = Number(seconds);
    else if (host !== undefined) manner.hosts.push(host);
    else if (word !== undefined) manner.words.push([word, value!]);
    else if (more !== undefined) manner.more = more;
    else if (ends !== undefined) manner.ends = Number(ends);
    else throw new Error(`${where}: cannot read "${part}"`);
  }
  return manner;
}

/** Commands of a script: a line each, lines that end in `\` and here-documents joined. */
function script(lines: string[]): Step[] {
  const steps: Step[] = [];
  let place: string | undefined;
  for (let at = 0; at < lines.length; at++) {
    let command = lines[at]!;
    if (command.trim() === "") continue;
    const [, comment] = command.match(/^# (.+)$/) ?? [];
    if (comment !== undefined) {
      if (/^on /.test(comment)) place = comment;
      continue;
    }
    while (command.endsWith("\\") && at + 1 < lines.length) {
      command = command.slice(0, -1).trimEnd() + " " + lines[++at]!.trim();
    }
    const [, delimiter] = command.match(/<<-?\s*'?(\w+)'?/) ?? [];
    if (delimiter !== undefined) {
      do command += "\n" + lines[++at]; while (at < lines.length && lines[at] !== delimiter);
    } else command = command.replace(/\s+# .*$/, "");
    steps.push({ command, output: [], ...(place === undefined ? {} : { place }) });
  }
  return steps;
}

/** Commands of a terminal's session, with their output. */
function session(lines: string[]): Step[] {
  const steps: Step[] = [];
  for (const line of lines) {
    const [, command] = line.match(/^[$#] (.+)$/) ?? [];
    const last = steps.at(-1);
    if (command !== undefined) steps.push({ command, output: [] });
    else if (last?.command.endsWith("\\")) {
      last.command = last.command.slice(0, -1).trimEnd() + " " + line.trim();
    } else if (line.trim() !== "") last?.output.push(line);
  }
  return steps;
}

/** What of a line of output stands where the same command is run again: not numbers, not `…`. */
function shapeOf(line: string): RegExp {
  const parts = line.trim().split(/(…|\s+|\d[\d.,:]*)/).filter((part) => part !== "");
  const pattern = parts.map((part) =>
    part === "…"
      ? ".*"
      : /^\s+$/.test(part)
      ? "\\s+"
      : /^\d/.test(part)
      ? "[\\d.,:]+"
      : RegExp.escape(part)
  );
  return new RegExp(`^\\s*${pattern.join("")}\\s*$`);
}

/** Lines that a document shows and that are not among the printed ones, but for their numbers. */
export function notPrinted(shown: readonly string[], printed: string): string[] {
  const lines = printed.split("\n");
  return shown.filter((line) =>
    line.trim() !== "…" && !lines.some((one) => shapeOf(line).test(one))
  );
}
