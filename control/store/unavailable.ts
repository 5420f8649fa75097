/**
 * Which errors of the databases say that it is not the request's fault and may pass: a client is then
 * told to come again (503), and nothing was written.
 */

/** No connection to the database could be had, for whatever reason, which is the cause. */
export class NoConnection extends Error {
  override name = "NoConnection";
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** What SQLite's primary result codes mean for whoever asked. */
const SQLITE: Readonly<Record<number, string>> = {
  5: "the database is locked by another program",
  6: "the database is locked by another program",
  8: "the database cannot be written",
  10: "the disk of the database has failed",
  13: "the disk of the database is full",
  14: "the file of the database cannot be opened",
};

/** The same for PostgreSQL's SQLSTATE codes, by the code or its class. */
const POSTGRES: Readonly<Record<string, string>> = {
  "0A000": "the database has just been changed",
  "08": "the database cannot be reached",
  "25006": "the database cannot be written",
  "25P03": "the database took too long",
  "25P04": "the database took too long",
  "28": "the database lets this control plane in no more",
  "40": "the database is busy",
  "53100": "the disk of the database is full",
  "53": "the database is overloaded",
  "55P03": "the database is locked by another program",
  "57014": "the database took too long",
  "57": "the database has been shut down",
  "58": "the disk of the database has failed",
};

/** What node's streams and sockets say of a connection that is lost already. */
const LOST = /^ERR_(STREAM|SOCKET|SSL|TLS)_/;

/** What the system says of a connection that cannot be made, or is lost. */
const NETWORK = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ENOENT",
  "EAGAIN",
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOTCONN",
]);

/** What the driver says in words only. */
const WORDS =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client has encountered a connection error|Client was closed|Cannot use a pool after|Postgres connection has been discarded|too many writes wait)/;

/**
 * Why the database cannot be used for the moment, as a clause for whoever asked; undefined when the
 * error is another.
 */
export function unavailable(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  if (error instanceof NoConnection) {
    return unavailable(error.cause) ?? "the database cannot be reached";
  }
  const { errcode, code, message } = error as Record<string, unknown>;
  if (typeof errcode === "number" && code === "ERR_SQLITE_ERROR") return SQLITE[errcode & 0xff];
  if (typeof code === "string") {
    if (NETWORK.has(code) || LOST.test(code)) return "the database cannot be reached";
    if (/^[0-9A-Z]{5}$/.test(code)) return POSTGRES[code] ?? POSTGRES[code.slice(0, 2)];
  }
  if (typeof message === "string" && WORDS.test(message)) return "the database cannot be reached";
  return undefined;
}

/** Whether another program holds SQLite's write lock. */
export function isLocked(error: unknown): boolean {
  const { errcode, code } = error as { errcode?: unknown; code?: unknown };
  return code === "ERR_SQLITE_ERROR" && typeof errcode === "number" &&
    [5, 6].includes(errcode & 0xff);
}
