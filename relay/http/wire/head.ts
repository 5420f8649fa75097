/**
 * A request head (RFC 9112 sections 2 to 5), read by ourselves: the only way to keep the socket
 * for DERP afterwards.
 *
 * What proxies and servers are known to read differently (folded lines, a blank before the colon,
 * control characters, lengths that contradict each other) is refused, so that nothing in front of
 * the relay can be made to see other requests than the relay does.
 */

/** How a request's body is delimited (RFC 9112 section 6.3). */
export type Framing =
  | { kind: "none" }
  | { kind: "length"; length: number }
  | { kind: "chunked" };

/** A head that is answered with an error status and a close. */
export class HeadError extends Error {
  override readonly name = "HeadError";
  constructor(readonly status: 400 | 408 | 431 | 501 | 505, message: string) {
    super(message);
  }
}

/** What the relay wants to know of a request. */
export class RequestHead {
  constructor(
    readonly method: string,
    /** As it came: path and query, `*`, or host and port of a CONNECT. */
    readonly target: string,
    /** The minor HTTP version, 0 or 1 or what a client of the future says. */
    readonly minor: number,
    /** Header names in lower case, and their values, in the order they came. */
    readonly fields: readonly (readonly [string, string])[],
    readonly framing: Framing,
  ) {}

  /** Percent-decoded path without query. */
  get path(): string {
    const path = this.target.replace(/[?#].*$/s, "");
    try {
      return decodeURIComponent(path);
    } catch {
      return path;
    }
  }

  /** The first value of a header. */
  get(name: string): string | undefined {
    return this.fields.find((field) => field[0] === name)?.[1];
  }

  /** Every value of a header. */
  all(name: string): string[] {
    return this.fields.filter((field) => field[0] === name).map((field) => field[1]);
  }

  /** The members of a header that is a list, in lower case. */
  tokens(name: string): string[] {
    return this.all(name).flatMap((value) => value.split(","))
      .map((token) => token.trim().toLowerCase()).filter((token) => token !== "");
  }

  /** Whether the client is done with the connection after this request. */
  get last(): boolean {
    // A request with both lengths is read as chunked, and its connection trusted no further.
    const both = this.framing.kind === "chunked" && this.get("content-length") !== undefined;
    return both || this.minor === 0 || this.tokens("connection").includes("close");
  }
}

const LF = 10;
const CR = 13;
const latin1 = new TextDecoder("latin1");
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Nothing that a line could end at, and no percent sign that stands for nothing. */
const TARGET = /^(?:[\x21-\x24\x26-\x7e\x80-\xff]|%[0-9A-Fa-f]{2})+$/;
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
/** A host and a port, as far as a URL may hold them; nothing that ends or starts another part. */
const HOST = /^[!$&'()*+,;=\-._~%0-9A-Za-z:[\]]*$/;

/**
 * Header lines of a request. Each one costs the more the more there are, as looking names up does;
 * browsers behind several proxies send some thirty.
 */
const MAX_FIELDS = 128;

/** More digits than any body that would be read. */
const MAX_LENGTH_DIGITS = 15;

/**
 * Where the head ends: the offset behind the empty line, or undefined while that has not come.
 *
 * @param start offset of the head's first byte
 * @param from offset already searched before
 */
export function headEnd(
  bytes: Uint8Array,
  start: number,
  end: number,
  from: number,
): number | undefined {
  // The empty line may straddle what was searched.
  for (let at = bytes.indexOf(LF, Math.max(start, from - 3)); at >= 0 && at < end;) {
    if (at > start) {
      const before = bytes[at - 1] === CR ? at - 2 : at - 1;
      if (before >= start && bytes[before] === LF) return at + 1;
    }
    at = bytes.indexOf(LF, at + 1);
  }
  return undefined;
}

/**
 * Reads a whole head, its empty line included.
 *
 * @throws HeadError for anything that is not HTTP/1.0 or 1.1, or could be read in two ways
 */
export function parseHead(bytes: Uint8Array): RequestHead {
  const lines = latin1.decode(bytes).split("\n").map((line) =>
    line.endsWith("\r") ? line.slice(0, -1) : line
  );
  const request = /^([^ ]+) ([^ ]+) HTTP\/(\d)\.(\d)$/.exec(lines[0] ?? "");
  if (request === null || !TOKEN.test(request[1]!) || !TARGET.test(request[2]!)) {
    throw new HeadError(400, "not a request line");
  }
  const [, method, target, major, minor] = request;
  if (major !== "1") throw new HeadError(505, `HTTP/${major}.${minor}`);
  if (lines.length > MAX_FIELDS + 3) throw new HeadError(431, "too many headers");
  const fields = lines.slice(1, -2).map(parseField);
  const head = new RequestHead(
    method!,
    target!,
    Number(minor),
    fields,
    framingOf(fields, minor === "0"),
  );
  return withOriginForm(head);
}

function parseField(line: string): [string, string] {
  const colon = line.indexOf(":");
  const name = line.slice(0, Math.max(0, colon)).toLowerCase();
  const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
  // Control characters, folded lines and blanks before the colon.
  if (!TOKEN.test(name) || CONTROL.test(value)) throw new HeadError(400, "malformed header");
  return [name, value];
}

function framingOf(fields: readonly (readonly [string, string])[], old: boolean): Framing {
  const codings = fields.filter(([name]) => name === "transfer-encoding");
  const lengths = new Set(
    fields.filter(([name]) => name === "content-length").map(([, value]) => value),
  );
  if (lengths.size > 1) throw new HeadError(400, "two lengths");
  const [length] = lengths;
  if (length !== undefined && (!/^\d+$/.test(length) || length.length > MAX_LENGTH_DIGITS)) {
    throw new HeadError(400, "malformed length");
  }
  if (codings.length > 0) {
    // HTTP/1.0 has no transfer codings, so a proxy of that time would see another body.
    if (old) throw new HeadError(400, "transfer coding in HTTP/1.0");
    if (codings.length > 1 || codings[0]![1].toLowerCase() !== "chunked") {
      throw new HeadError(501, "unknown transfer coding");
    }
    return { kind: "chunked" };
  }
  if (length === undefined || Number(length) === 0) return { kind: "none" };
  return { kind: "length", length: Number(length) };
}

/** Checks the host, and turns the absolute form that proxies get into the ordinary one. */
function withOriginForm(head: RequestHead): RequestHead {
  const hosts = head.all("host");
  const [host] = hosts;
  if (hosts.length > 1) throw new HeadError(400, "two host headers");
  if (host === undefined && head.minor !== 0) throw new HeadError(400, "no host header");
  if (host !== undefined && !HOST.test(host)) throw new HeadError(400, "malformed host");
  const { method, target } = head;
  if (method === "CONNECT" || target.startsWith("/")) return head;
  if (target === "*" && method === "OPTIONS") return head;
  const absolute = /^https?:\/\/([^/?#]+)(.*)$/is.exec(target);
  if (absolute === null) throw new HeadError(400, "not a target");
  // Two names for the host would be two requests to whoever believes the other one.
  if (host !== undefined && absolute[1]!.toLowerCase() !== host.toLowerCase()) {
    throw new HeadError(400, "target and host disagree");
  }
  const path = absolute[2]!.startsWith("/") ? absolute[2]! : `/${absolute[2]!}`;
  return new RequestHead(method, path, head.minor, head.fields, head.framing);
}

/** Whether a request asks for DERP on this very stream. */
export function wantsDerp(head: RequestHead): boolean {
  if (head.method === "CONNECT" || head.path !== "/derp") return false;
  const upgrade = head.get("upgrade")?.toLowerCase();
  if (upgrade === "derp") return true;
  // Very old clients name the wrong protocol and then speak plain DERP.
  return upgrade === "websocket" && !namesDerp(head);
}

/** Whether a request asks for DERP in WebSocket messages. */
export function wantsWebSocket(head: RequestHead): boolean {
  if (head.method === "CONNECT" || head.path !== "/derp") return false;
  return head.get("upgrade")?.toLowerCase() === "websocket" && namesDerp(head);
}

function namesDerp(head: RequestHead): boolean {
  return (head.get("sec-websocket-protocol") ?? "").includes("derp");
}
