/**
 * Writes a response as HTTP/1.1 (RFC 9112 sections 4, 6 and 7).
 */
import type { Socket, Sweep } from "../../server/mod.ts";
import { farewell, writeAll } from "./farewell.ts";
import type { RequestHead } from "./head.ts";
import { type BodySource, LongBody } from "./long_body.ts";

/** Reason phrases of the answers that are given here. */
const REASONS: Record<number, string> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  206: "Partial Content",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  423: "Locked",
  426: "Upgrade Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};

/** Status code and reason phrase. */
function statusText(status: number): string {
  return `${status} ${REASONS[status] ?? "Status"}`;
}

/** The connection's own business, not the application's. */
const OURS = ["connection", "keep-alive", "transfer-encoding", "content-length", "date", "upgrade"];

/** A body that is ready at once is sent with its length, up to this; else it is sent in chunks. */
const MAX_WHOLE = 256 * 1024;

const encoder = new TextEncoder();

type Reader = ReadableStreamDefaultReader<Uint8Array>;
type Pending = ReturnType<Reader["read"]>;

/** What of a body was ready at once. */
interface Begun {
  chunks: Uint8Array[];
  length: number;
  whole: boolean;
  /** A read that has been started and not been answered. */
  pending?: Pending;
}

/**
 * Answers `head` with `response`.
 *
 * @param keep whether the connection is kept for the next request
 * @param gone resolves when the client has gone: the rest of a body is not waited for then
 * @throws any error of the connection or of the body; the connection is of no use then
 */
export async function writeResponse(
  conn: Socket,
  head: RequestHead,
  response: Response,
  keep: boolean,
  gone?: Promise<void>,
): Promise<void> {
  const reader = response.body?.getReader();
  void gone?.then(() => reader?.cancel()).catch(() => {}); // it has failed by itself
  try {
    const begun = await begin(reader);
    const bare = isBare(head, response);
    const chunked = !begun.whole && isChunked(head);
    const length = begun.whole ? begun.length : undefined;
    const parts: Uint8Array[] = [headOf(head, response, keep, length)];
    if (!bare) {
      if (chunked) parts.push(...begun.chunks.flatMap(chunk));
      else parts.push(...begun.chunks);
    }
    await writeAll(conn, joined(parts));
    if (begun.whole || bare) return;
    await stream(conn, reader!, begun.pending, chunked);
  } finally {
    // A reader that is done takes this as well; one that is not tells the application.
    reader?.cancel().catch(() => {});
  }
}

/** Whether an answer has no body, whatever the application gave it. */
function isBare(head: RequestHead, response: Response): boolean {
  return head.method === "HEAD" || response.status === 204 || response.status === 304;
}

/** Whether a body of unknown length is sent in chunks; a client of old takes it as it comes. */
export function isChunked(head: RequestHead): boolean {
  return head.minor !== 0;
}

/**
 * The head of an answer.
 *
 * @param keep whether the connection is kept for the next request
 * @param length bytes of the body, where that is known
 */
function headOf(
  head: RequestHead,
  response: Response,
  keep: boolean,
  length: number | undefined,
): Uint8Array {
  const lines = [`HTTP/1.${head.minor === 0 ? 0 : 1} ${statusText(response.status)}`];
  for (const [name, value] of response.headers) {
    if (!OURS.includes(name)) lines.push(`${capitalized(name)}: ${value}`);
  }
  const upgrade = response.status === 426 ? response.headers.get("upgrade") : null;
  const options = [...keep ? [] : ["close"], ...upgrade === null ? [] : ["Upgrade"]];
  if (upgrade !== null) lines.push(`Upgrade: ${upgrade}`);
  if (options.length > 0) lines.push(`Connection: ${options.join(", ")}`);
  lines.push(`Date: ${new Date().toUTCString()}`);
  if (length !== undefined && response.status !== 204 && response.status !== 304) {
    // The answer to HEAD may name the length of a body that it does not have.
    const named = head.method === "HEAD" ? response.headers.get("content-length") : null;
    lines.push(`Content-Length: ${named ?? length}`);
  } else if (length === undefined && isChunked(head) && !isBare(head, response)) {
    lines.push("Transfer-Encoding: chunked");
  }
  return encoder.encode(lines.join("\r\n") + "\r\n\r\n");
}

/**
 * Writes the head of an answer whose body is long, and gives where that comes from; undefined, with
 * nothing written, for every other answer.
 */
export async function writeLongHead(
  conn: Socket,
  head: RequestHead,
  response: Response,
  keep: boolean,
): Promise<BodySource | undefined> {
  if (!(response.body instanceof LongBody) || isBare(head, response)) return undefined;
  const { source } = response.body;
  try {
    await writeAll(conn, headOf(head, response, keep, undefined));
  } catch (error) {
    source.gone();
    throw error;
  }
  return source;
}

/** Reads what a body has to give without waiting for anything outside this process. */
async function begin(reader: Reader | undefined): Promise<Begun> {
  const begun: Begun = { chunks: [], length: 0, whole: reader === undefined };
  if (reader === undefined) return begun;
  const turn = new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
  while (begun.length < MAX_WHOLE) {
    const pending = reader.read();
    const got = await Promise.race([pending, turn]);
    if (got === undefined) return { ...begun, pending };
    if (got.done) return { ...begun, whole: true };
    begun.chunks.push(got.value);
    begun.length += got.value.length;
  }
  return begun;
}

async function stream(
  conn: Socket,
  reader: Reader,
  pending: Pending | undefined,
  chunked: boolean,
): Promise<void> {
  for (;;) {
    const got = await (pending ?? reader.read());
    pending = undefined;
    if (got.done) break;
    await writeAll(conn, chunked ? joined(chunk(got.value)) : got.value);
  }
  if (chunked) await writeAll(conn, encoder.encode("0\r\n\r\n"));
}

function chunk(bytes: Uint8Array): Uint8Array[] {
  // An empty one would say that the body has ended.
  if (bytes.length === 0) return [];
  return [encoder.encode(`${bytes.length.toString(16)}\r\n`), bytes, encoder.encode("\r\n")];
}

function joined(parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** `content-type` as `Content-Type`: for people, and for clients that compare letter by letter. */
function capitalized(name: string): string {
  return name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

/** Ends a connection with an error status, and nothing of the application's. Never rejects. */
export async function refuse(conn: Deno.Conn, status: number, sweep: Sweep): Promise<void> {
  const text = statusText(status);
  const head = `HTTP/1.1 ${text}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
    `${status === 503 ? "Retry-After: 5\r\n" : ""}Connection: close\r\n\r\n${text}`;
  await farewell(conn, new TextEncoder().encode(head), sweep);
}
