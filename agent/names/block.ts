/**
 * The agent's block in a hosts file, as text that stands for bytes (latin1): nothing of the file is
 * decoded, so that every other byte comes out as it went in.
 *
 * Each line of the block names its owner. A block that others have torn apart, or written a line
 * into, is still told line by line from what is not ours, and two agents leave each other's alone.
 *
 * @module
 */

/** A name and what it is to resolve to; both checked. */
export interface Pin {
  host: string;
  address: string;
}

/** Said in the first line, for who reads the file and for the way back. */
const ADVICE = "removed when nexd ends", NEW_FILE = ", file was new";
/** The text before the block had no line end after so many bytes. */
const NO_NEWLINE = ", no newline after byte ";

/** What an owner is called in the file: no spaces, no line ends, bounded. */
export function ownerToken(owner: string): string {
  return encodeURIComponent(owner.toWellFormed()).slice(0, 120) || "nexd";
}

/** The text without the owner's lines; `made`: there was no file before the block. */
export function withoutBlock(text: string, owner: string): { text: string; made: boolean } {
  const lines = linesOf(text);
  const kept: string[] = [];
  let made = false, joined: { end: string; at: number } | undefined;
  for (const line of lines) {
    const kind = kindOf(line, owner);
    if (kind === undefined) {
      kept.push(line);
      continue;
    }
    if (kind !== "begin") continue;
    made ||= line.includes(NEW_FILE);
    const [, at] = line.split(NO_NEWLINE);
    if (at !== undefined) joined = { end: endOf(line), at: parseInt(at) };
  }
  const rest = kept.join("");
  // The text before the block had no end, and nobody has written before or behind it since.
  const added = joined !== undefined && rest.length === joined.at + joined.end.length &&
    rest.endsWith(joined.end);
  return { text: added ? rest.slice(0, joined!.at) : rest, made };
}

/**
 * The text with exactly these pins of the owner, at its end; unchanged when they are there already.
 *
 * @param text undefined: there is no file
 * @param lineEnd of a file that has none yet
 */
export function withBlock(
  text: string | undefined,
  owner: string,
  pins: readonly Pin[],
  lineEnd = "\n",
): string {
  const lines = pins.map(({ address, host }) => `${address} ${host} # nexd ${owner}`);
  if (text !== undefined && holds(text, owner, lines)) return text;
  const bare = withoutBlock(text ?? "", owner);
  if (pins.length === 0) return bare.text;
  const end = endOf(bare.text.slice(0, bare.text.indexOf("\n") + 1)) || lineEnd;
  const open = bare.text !== "" && !bare.text.endsWith("\n");
  const flags = (open ? `${NO_NEWLINE}${bare.text.length}` : "") +
    (text === undefined || (bare.made && bare.text === "") ? NEW_FILE : "");
  return [
    bare.text + (open ? end : "") + `${beginOf(owner)}${flags})`,
    ...lines,
    endLineOf(owner),
    "",
  ].join(end);
}

/** What others' lines say about a host: the line's number, from 1, and its address. */
export function othersOf(
  text: string,
  owner: string,
  host: string,
): { line: number; address: string }[] {
  const found: { line: number; address: string }[] = [];
  for (const [i, line] of linesOf(text).entries()) {
    if (kindOf(line, owner) !== undefined) continue;
    const [address, ...names] = fieldsOf(line);
    if (address === undefined || !names.some((name) => name.toLowerCase() === host)) continue;
    found.push({ line: i + 1, address: address.slice(0, 45) });
  }
  return found;
}

/** Names that others' lines give to a loopback address: those of the host itself. */
export function ownNames(text: string, owner: string): Set<string> {
  const names = new Set<string>();
  for (const line of linesOf(text)) {
    if (kindOf(line, owner) !== undefined) continue;
    const [address, ...rest] = fieldsOf(line);
    if (address === "::1" || address?.startsWith("127.")) {
      for (const name of rest) names.add(name.toLowerCase());
    }
  }
  return names;
}

function holds(text: string, owner: string, wanted: readonly string[]): boolean {
  const own = linesOf(text).map((line, at) => ({ kind: kindOf(line, owner), line, at }))
    .filter(({ kind }) => kind !== undefined);
  if (wanted.length === 0) return own.length === 0;
  if (own.length !== wanted.length + 2) return false;
  return own.every(({ kind, line, at }, i) =>
    at === own[0]!.at + i &&
    (i === 0
      ? kind === "begin"
      : i === own.length - 1
      ? kind === "end"
      : bareOf(line) === wanted[i - 1])
  );
}

function kindOf(line: string, owner: string): "begin" | "pin" | "end" | undefined {
  const bare = bareOf(line);
  if (bare === endLineOf(owner)) return "end";
  if (bare.startsWith(beginOf(owner))) {
    const flag = bare.slice(beginOf(owner).length, -1).replace(/\d{1,10}$/, "");
    if (bare.endsWith(")") && ["", NO_NEWLINE, NEW_FILE].includes(flag)) return "begin";
  }
  const tail = ` # nexd ${owner}`;
  const pin = bare.endsWith(tail) &&
    /^[0-9a-f.:]{2,45} [a-z0-9.-]{1,253}$/.test(bare.slice(0, -tail.length));
  return pin ? "pin" : undefined;
}

function beginOf(owner: string): string {
  return `# BEGIN nexd ${owner} (${ADVICE}`;
}

function endLineOf(owner: string): string {
  return `# END nexd ${owner}`;
}

/** Lines with their ends; the last one may have none. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function endOf(line: string): "\r\n" | "\n" | "" {
  return line.endsWith("\r\n") ? "\r\n" : line.endsWith("\n") ? "\n" : "";
}

function bareOf(line: string): string {
  return line.replace(/\r?\n$/, "");
}

function fieldsOf(line: string): string[] {
  return bareOf(line).replace(/#.*/, "").split(/[ \t\r\v\f]+/).filter((field) => field !== "");
}
