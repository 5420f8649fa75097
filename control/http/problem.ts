import type { ApiError } from "../api/types.ts";

/** Content type of every JSON answer: stock clients refuse to decode a body without one like it. */
export const JSON_TYPE = "application/json; charset=utf-8";

/** Statuses about which the API's contract says nothing: they are told as RFC 9457 has it as well. */
const OPEN: Readonly<Record<number, string>> = {
  408: "Request Timeout",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  429: "Too Many Requests",
  503: "Service Unavailable",
};

/** What an answer may depend on. */
export interface Asked {
  /** `Accept` of the request. */
  accept?: string | undefined;
  /** Of the request. */
  id?: string | undefined;
}

/** An answer other than success; thrown by handlers, written by the application. */
export class Problem extends Error {
  override name = "Problem";
  readonly status: number;
  /** JSON object, plain text, or undefined for an empty body. */
  readonly body: ApiError | string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    body?: ApiError | string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(typeof body === "string" ? body : body?.error ?? `status ${status}`);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }

  /** The answer as the API's clients expect it. */
  toResponse(asked: Asked = {}): Response {
    const { status, body } = this;
    const headers = new Headers(this.headers);
    if (body === undefined) return new Response(null, { status, headers });
    if (typeof body === "string") {
      headers.set("content-type", "text/plain");
      return new Response(body, { status, headers });
    }
    const title = OPEN[status];
    const details = title === undefined ? {} : {
      type: "about:blank",
      title,
      status,
      detail: body.reason ?? body.error,
      ...(asked.id === undefined ? {} : { instance: `urn:uuid:${asked.id}` }),
    };
    // Stock clients ask for JSON alone, and can read no error of another type.
    const problem = title !== undefined &&
      /application\/problem\+json|\*/.test(asked.accept ?? "*");
    headers.set("content-type", problem ? "application/problem+json" : JSON_TYPE);
    return new Response(JSON.stringify({ ...body, ...details }), { status, headers });
  }
}

/** 404; some resources are named in it, others answer with an empty body. */
export function notFound(resource?: string): Problem {
  return resource === undefined
    ? new Problem(404)
    : new Problem(404, { error: "not found", resource });
}

/** 404 of a path or method that does not exist. */
export function noRoute(): Problem {
  return new Problem(404, "404 page not found");
}

/** 400: the body is not the JSON that was expected. */
export function jsonInvalid(detail: string): Problem {
  return new Problem(400, { error: `request json is invalid: ${detail}` });
}

/** 400: a required field is absent. */
export function fieldMissing(field: string): Problem {
  return new Problem(400, { error: "field not present", field });
}

/** 400: a field's value cannot be used; `reason` is a sentence for people. */
export function fieldInvalid(field: string, reason?: string): Problem {
  return new Problem(400, {
    error: "invalid data in field",
    field,
    ...(reason ? { reason } : {}),
  });
}

/** 400: the request is well-formed, but this may not be done. */
export function notAllowed(reason: string): Problem {
  return new Problem(400, { error: "operation not allowed", reason });
}

/** 409: the resource exists; agents go on with the `id` in it. */
export function conflict(id?: string): Problem {
  return new Problem(409, { ...(id ? { id } : {}), error: "resource already exists" });
}

/** 503: nothing was changed, and it may work in a moment; `reason` is a clause that says why. */
export function unavailableFor(reason: string): Problem {
  return new Problem(503, { error: "service unavailable", reason }, { "retry-after": "2" });
}
