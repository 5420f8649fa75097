/**
 * The file of a backup: one line of JSON that says what it is, and then, packed by gzip, a line of
 * JSON for each thing in it. The last one has the SHA-256 of all that came before, the first
 * included, so that a file that was cut off or damaged is noticed.
 *
 * ```
 * {"format":"nexd-backup","version":1,"nexd":"0.1.0","created_at":"…","migrations":["0001_initial",…]}
 * {"file":"secret.key","mode":384,"data":"…base64…"}
 * {"table":"users","columns":["id","username"]}
 * ["…","ada"]
 * {"end":true,"rows":1,"sha256":"…hex…"}
 * ```
 *
 * The rows of a table follow it. Their values are text, numbers, null, or bytes as `{"base64":"…"}`.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { reasonOf } from "../../relay/cert/mod.ts";
import { ControlError } from "../errors.ts";

export const VERSION = 1;

/** The first line. */
export interface Header {
  format: "nexd-backup";
  version: number;
  /** Version of the program that wrote it. */
  nexd: string;
  /** RFC 3339, UTC. */
  created_at: string;
  /** Which migrations the rows are of. */
  migrations: string[];
}

/** What follows it. */
export type Entry =
  | { file: string; mode: number; data: string }
  | { table: string; columns: string[] }
  | unknown[];

/** Longest line that is read, in characters, and bytes that are packed at a time. */
const MAX_LINE = 16 * 1024 * 1024, CHUNK = 64 * 1024;
/** Longest first line, in bytes. */
const MAX_HEADER = 64 * 1024;

/** Writes a backup to `path` (0600), which is there in full or not at all. Returns its size in bytes. */
export async function writeBackup(
  path: string,
  header: Header,
  entries: AsyncIterable<Entry>,
): Promise<{ bytes: number; rows: number }> {
  const draft = `${path}.new`;
  let rows = 0;
  try {
    await Deno.remove(draft).catch(() => {});
    using file = await Deno.open(draft, { write: true, createNew: true, mode: 0o600 });
    const first = new TextEncoder().encode(`${JSON.stringify(header)}\n`);
    for (let at = 0; at < first.length;) at += await file.write(first.subarray(at));
    const hash = createHash("sha256").update(first);
    const text = async function* () {
      let buffered = "";
      for await (const entry of entries) {
        if (Array.isArray(entry)) rows++;
        buffered += `${JSON.stringify(Array.isArray(entry) ? entry.map(encoded) : entry)}\n`;
        if (buffered.length < CHUNK) continue;
        hash.update(buffered);
        yield buffered;
        buffered = "";
      }
      hash.update(buffered);
      yield `${buffered}${JSON.stringify({ end: true, rows, sha256: hash.digest("hex") })}\n`;
    };
    const packed = ReadableStream.from(text()).pipeThrough(new TextEncoderStream())
      .pipeThrough(new CompressionStream("gzip"));
    for await (const chunk of packed) {
      for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
    }
    await file.sync();
    await Deno.rename(draft, path);
    return { bytes: (await Deno.stat(path)).size, rows };
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    if (error instanceof ControlError) throw error;
    throw new ControlError(
      `Cannot write ${path}: ${reasonOf(error)}; choose another place, with room for it`,
      { cause: error },
    );
  }
}

/** Reads the first line of a backup. ControlError when it is none, or of a newer version. */
export async function readHeader(path: string): Promise<Header> {
  const { header, rest } = await open(path);
  await rest.cancel();
  return header;
}

/** Reads what follows the header. ControlError, possibly at the very end, when the file is damaged. */
export async function* readEntries(path: string): AsyncGenerator<Entry> {
  const { first, rest } = await open(path);
  const hash = createHash("sha256").update(first);
  let rows = 0, end: { rows?: unknown; sha256?: unknown } | undefined;
  try {
    for await (const line of lines(rest)) {
      if (end !== undefined) throw damaged(path, "something follows its end");
      const entry: unknown = JSON.parse(line);
      if (isEnd(entry)) {
        end = entry;
        continue;
      }
      hash.update(`${line}\n`);
      if (Array.isArray(entry)) {
        rows++;
        yield entry.map(decoded);
      } else {
        yield checked(path, entry);
      }
    }
  } catch (error) {
    if (error instanceof ControlError) throw error;
    throw damaged(path, error instanceof Error ? error.message : String(error), error);
  }
  if (end === undefined) throw damaged(path, "its end is missing");
  if (end.rows !== rows || end.sha256 !== hash.digest("hex")) {
    throw damaged(path, "its checksum is another");
  }
}

async function open(
  path: string,
): Promise<{ header: Header; first: Uint8Array; rest: ReadableStream<Uint8Array> }> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    throw new ControlError(`Cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
  try {
    const buffer = new Uint8Array(MAX_HEADER);
    let length = 0;
    for (let n; length < MAX_HEADER && (n = await file.read(buffer.subarray(length)));) length += n;
    const newline = buffer.subarray(0, length).indexOf(10);
    if (newline < 0) throw notBackup(path);
    const first = buffer.slice(0, newline + 1);
    const header = parsedHeader(path, new TextDecoder().decode(first));
    await file.seek(newline + 1, Deno.SeekMode.Start);
    return { header, first, rest: file.readable };
  } catch (error) {
    file.close();
    if (error instanceof ControlError) throw error;
    throw new ControlError(`Cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

function parsedHeader(path: string, text: string): Header {
  let header: Partial<Header>;
  try {
    header = JSON.parse(text);
  } catch {
    throw notBackup(path);
  }
  if (header?.format !== "nexd-backup" || typeof header.version !== "number") throw notBackup(path);
  if (header.version > VERSION) {
    throw new ControlError(
      `Cannot read ${path}: a newer nexd (${
        String(header.nexd).slice(0, 20)
      }) wrote it; use that one`,
    );
  }
  const { migrations } = header;
  if (!Array.isArray(migrations) || !migrations.every((name) => typeof name === "string")) {
    throw damaged(path, "it does not say which tables it has");
  }
  return header as Header;
}

async function* lines(packed: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const text = packed.pipeThrough(
    new DecompressionStream("gzip") as TransformStream<Uint8Array, Uint8Array>,
  ).pipeThrough(
    new TextDecoderStream("utf-8", { fatal: true }) as TransformStream<Uint8Array, string>,
  );
  let rest = "";
  for await (const chunk of text) {
    rest += chunk;
    const parts = rest.split("\n");
    rest = parts.pop()!;
    if (rest.length > MAX_LINE) throw new Error("a line is too long");
    yield* parts;
  }
  if (rest !== "") throw new Error("its last line is cut off");
}

function isEnd(entry: unknown): entry is { rows?: unknown; sha256?: unknown } {
  return typeof entry === "object" && entry !== null && "end" in entry;
}

function checked(path: string, value: unknown): Entry {
  const entry = value as Record<string, unknown>;
  const texts = (list: unknown) => Array.isArray(list) && list.every((t) => typeof t === "string");
  if (typeof entry.table === "string" && texts(entry.columns)) return value as Entry;
  if (
    typeof entry.file === "string" && typeof entry.data === "string" &&
    typeof entry.mode === "number"
  ) return value as Entry;
  throw damaged(path, "it has an entry of no known kind");
}

function encoded(value: unknown): unknown {
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
  return typeof value === "bigint" ? Number(value) : value;
}

function decoded(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  return new Uint8Array(Buffer.from(String((value as { base64?: unknown }).base64), "base64"));
}

function notBackup(path: string): ControlError {
  return new ControlError(`Cannot read ${path}: it is no backup that nexd made`);
}

function damaged(path: string, how: string, cause?: unknown): ControlError {
  return new ControlError(`Cannot use ${path}: it is damaged: ${how}; use another backup`, {
    cause,
  });
}
