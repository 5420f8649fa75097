/**
 * A request head, read by ourselves: the only way to keep the socket for DERP afterwards.
 *
 * Only as much as the decision needs is understood here; whatever is not DERP goes on, byte by
 * byte, to a full HTTP server. What is malformed is refused here, so that both never disagree
 * about where a head ends.
 */

/** What the relay wants to know of a request. */
export interface RequestHead {
  method: string;
  /** Percent-decoded path without query. */
  path: string;
  /** The first value of each header, by lower-case name. */
  headers: Map<string, string>;
}

/** A head that is answered with an error status and a close. */
export class HeadError extends Error {
  override readonly name = "HeadError";
  constructor(readonly status: 400 | 408 | 431 | 505, message: string) {
    super(message);
  }
}

const LF = 10;
const CR = 13;
const latin1 = new TextDecoder("latin1");
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Where the head ends: the offset behind the empty line, or undefined while that has not come.
 *
 * @param from offset already searched before
 */
export function headEnd(bytes: Uint8Array, end: number, from: number): number | undefined {
  // The empty line may straddle what was searched.
  for (let at = bytes.indexOf(LF, Math.max(0, from - 3)); at >= 0 && at < end;) {
    if (at > 0) {
      const before = bytes[at - 1] === CR ? at - 2 : at - 1;
      if (before >= 0 && bytes[before] === LF) return at + 1;
    }
    at = bytes.indexOf(LF, at + 1);
  }
  return undefined;
}

/**
 * Reads a whole head, its empty line included.
 *
 * @throws HeadError for anything that is not HTTP/1.0 or 1.1
 */
export function parseHead(bytes: Uint8Array): RequestHead {
  const lines = latin1.decode(bytes).split("\n").map((line) =>
    line.endsWith("\r") ? line.slice(0, -1) : line
  );
  const request = /^([^ ]+) ([^ ]+) HTTP\/(\d)\.(\d)$/.exec(lines[0] ?? "");
  if (request === null || !TOKEN.test(request[1]!)) {
    throw new HeadError(400, "not a request line");
  }
  const [, method, target, major, minor] = request;
  if (major !== "1") throw new HeadError(505, `HTTP/${major}.${minor}`);
  const headers = new Map<string, string>();
  for (const line of lines.slice(1, -2)) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon)).toLowerCase();
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
    // Control characters, folded lines and blanks before the colon: what proxies disagree about.
    // deno-lint-ignore no-control-regex
    if (!TOKEN.test(name) || /[\x00-\x08\x0a-\x1f\x7f]/.test(value)) {
      throw new HeadError(400, "malformed header");
    }
    if (headers.has(name)) {
      if (name === "host" || (name === "content-length" && headers.get(name) !== value)) {
        throw new HeadError(400, `two ${name} headers`);
      }
    } else headers.set(name, value);
  }
  if (minor !== "0" && !headers.has("host")) throw new HeadError(400, "no host header");
  return { method: method!, path: pathOf(target!), headers };
}

function pathOf(target: string): string {
  // Absolute form, as a proxy would send it.
  const path = target.replace(/^https?:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "");
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Whether a request asks for DERP on this very stream. */
export function wantsDerp(head: RequestHead): boolean {
  if (head.path !== "/derp") return false;
  const upgrade = head.headers.get("upgrade")?.toLowerCase();
  if (upgrade === "derp") return true;
  // Very old clients name the wrong protocol and then speak plain DERP.
  return upgrade === "websocket" &&
    !(head.headers.get("sec-websocket-protocol") ?? "").includes("derp");
}
