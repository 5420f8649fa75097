/**
 * What can go wrong between the agent and the control plane, as data: the daemon decides by `kind`
 * whether to wait and try again or to give up.
 *
 * @module
 */
import { AgentError, cleanText, reasonOf } from "../errors.ts";

/**
 * Why a call failed: the name did not resolve (`dns`), nobody answered (`unreachable`), the
 * certificate was refused (`certificate`), it did not speak TLS (`tls`), it took too long
 * (`timeout`), it answered with an error (`status`) or with something else than the API (`protocol`).
 */
type FailureKind =
  | "dns"
  | "unreachable"
  | "certificate"
  | "tls"
  | "timeout"
  | "status"
  | "protocol";

/** A call to the control plane that failed. */
export class ApiFailure extends AgentError {
  override name = "ApiFailure";
  readonly kind: FailureKind;
  /** HTTP status, for kind `status`. */
  readonly status: number | undefined;
  /** Fields of the error body, for kind `status`. */
  readonly detail: {
    error?: string;
    id?: string;
    field?: string;
    reason?: string;
    resource?: string;
    trace_id?: string;
  };
  /** Seconds the server asked to wait (`Retry-After`), at most 300. */
  readonly retryAfter: number | undefined;

  constructor(
    message: string,
    options: {
      kind: FailureKind;
      status?: number;
      detail?: ApiFailure["detail"];
      retryAfter?: number;
      cause?: unknown;
    },
  ) {
    super(message, { cause: options.cause });
    this.kind = options.kind;
    this.status = options.status;
    this.detail = options.detail ?? {};
    this.retryAfter = options.retryAfter;
  }

  /** True when trying again later can help without anybody changing a setting. */
  get transient(): boolean {
    if (this.kind === "status") return this.status === 429 || this.status! >= 500;
    return this.kind !== "certificate";
  }
}

/** The messages of an error and of its causes, joined. */
function chain(error: unknown): string {
  const parts: string[] = [];
  for (let at = error; at instanceof Error && parts.length < 5; at = at.cause) {
    parts.push(at.message);
  }
  return parts.join(": ");
}

const CERTIFICATE_HINTS: [RegExp, string][] = [
  [
    /UnknownIssuer|self.signed|unable to (get|verify)|CaUsedAsEndEntity/i,
    "its issuer is not trusted",
  ],
  [/NotValidForName|altnames|not valid for name/i, "it is for another name"],
  [/Expired|has expired/i, "it has expired"],
  [/NotValidYet|not yet valid/i, "it is not valid yet (is this host's clock right?)"],
];

/** Turns what `fetch` (or the unchecked transport) threw into an {@link ApiFailure}. */
export function networkFailure(error: unknown, url: URL): ApiFailure {
  if (error instanceof ApiFailure) return error;
  const host = url.host, text = chain(error);
  const failure = (kind: FailureKind, message: string) =>
    new ApiFailure(message, { kind, cause: error });
  if (
    error instanceof DOMException && (error.name === "TimeoutError" || error.name === "AbortError")
  ) {
    return failure("timeout", `Cannot reach the control plane at ${host}: no answer in time`);
  }
  if (/certificate/i.test(text)) {
    const why = CERTIFICATE_HINTS.find(([pattern]) => pattern.test(text))?.[1] ??
      cleanText(text, 120);
    return failure(
      "certificate",
      `Cannot trust the control plane at ${host}: ${why}; ` +
        "give the CA that signed its certificate with --ca FILE, or correct the service URL",
    );
  }
  if (/dns error|lookup address|getaddrinfo|ENOTFOUND/i.test(text)) {
    return failure(
      "dns",
      `Cannot reach the control plane: the name ${url.hostname} does not resolve`,
    );
  }
  if (/corrupt message|InvalidContentType|wrong version number/i.test(text)) {
    return failure("tls", `Cannot reach the control plane at ${host}: it does not speak TLS there`);
  }
  if (/refused|ECONNREFUSED/i.test(text)) {
    return failure("unreachable", `Cannot reach the control plane at ${host}: connection refused`);
  }
  if (/unreachable|ENETUNREACH|EHOSTUNREACH/i.test(text)) {
    return failure("unreachable", `Cannot reach the control plane at ${host}: no route to it`);
  }
  const short = text.replace(/^.*client error \(\w+\): /, "");
  return failure(
    "unreachable",
    `Cannot reach the control plane at ${host}: ${reasonOf(short, 160)}`,
  );
}
