/**
 * What can go wrong with a CA, sorted by what helps: a change of the command line, or time.
 *
 * @module
 */

/** Prefix of ACME error types (RFC 8555 section 6.7). */
const URN = "urn:ietf:params:acme:error:";

/** Nothing but another command line mends these. */
const MISTAKES = new Set([
  "badPublicKey",
  "badSignatureAlgorithm",
  "externalAccountRequired",
  "invalidContact",
  "invalidProfile",
  "rejectedIdentifier",
  "unsupportedContact",
  "unsupportedIdentifier",
  "userActionRequired",
]);

/** Longest pause that a CA can ask of us. */
const MAX_RETRY_AFTER_MS = 86_400_000;

/** An error document that a CA answered with (RFC 7807, RFC 8555 section 6.7). */
export class AcmeProblem extends Error {
  override readonly name = "AcmeProblem";

  /**
   * @param type without the prefix of ACME's types, such as `rateLimited`; empty when unknown
   * @param status HTTP status
   * @param retryAfterMs what the CA asks us to wait
   */
  constructor(
    readonly type: string,
    detail: string,
    readonly status: number,
    readonly retryAfterMs: number | undefined,
  ) {
    super(detail);
  }

  /** Whether asking again is of no use. */
  get mistake(): boolean {
    return MISTAKES.has(this.type);
  }

  /** The problem of an answer with an error status, whatever its body is. */
  static of(
    answer: { status: number; headers: Record<string, string>; body: string },
    now: number,
  ): AcmeProblem {
    let { type, detail }: { type?: unknown; detail?: unknown } = {};
    try {
      ({ type, detail } = JSON.parse(answer.body) as { type?: unknown; detail?: unknown });
    } catch {
      // A proxy's page, then: its status says enough.
    }
    const name = typeof type === "string" && type.startsWith(URN) ? type.slice(URN.length) : "";
    return new AcmeProblem(
      name === "" && answer.status === 429 ? "rateLimited" : name,
      typeof detail === "string" && detail !== "" ? printable(detail) : `HTTP ${answer.status}`,
      answer.status,
      parseRetryAfter(answer.headers["retry-after"], now),
    );
  }
}

/** The CA could not be asked at all. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

/** Why an attempt to get a certificate failed; the message is one sentence for the operator. */
export class IssueError extends Error {
  override readonly name = "IssueError";

  /** @param mistake whether only another command line helps */
  constructor(message: string, readonly mistake = false, readonly retryAfterMs?: number) {
    super(message);
  }
}

/** Ms to wait by a Retry-After header (RFC 9110 section 10.2.3), at most a day. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const wait = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), MAX_RETRY_AFTER_MS);
}

/** Text of a stranger for a log line: bounded, without control characters. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- they are what is taken out
  const clean = text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();
  return clean.length > 300 ? `${clean.slice(0, 300)}…` : clean;
}
