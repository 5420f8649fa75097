import type { App } from "../../http/mod.ts";
import type { Operation } from "./document.ts";

const ERROR = { $ref: "#/components/schemas/Error" };
const JSON_ERROR = { "application/json": { schema: ERROR } };
/** Statuses that are told as RFC 9457 has it to whoever takes that. */
const PROBLEM = { ...JSON_ERROR, "application/problem+json": { schema: ERROR } };
const RETRY_AFTER = {
  "Retry-After": { description: "Seconds to wait", schema: { type: "integer" } },
} as const;

/** Answers that come before a route is asked, by the name that they have in the document. */
const RESPONSES = {
  Unusable: { description: "A parameter or a field is missing or unusable", content: JSON_ERROR },
  NoCredential: {
    description: "No usable credential",
    content: { ...JSON_ERROR, "text/plain": { schema: { type: "string" } } },
  },
  MayNot: { description: "The credential may not: its kind, or its scopes" },
  TooSlow: { description: "The body took longer than 10 s", content: PROBLEM },
  TooLarge: { description: "The body is larger than 1 MiB", content: PROBLEM },
  LongHead: {
    description: "The path, the query or the headers are larger than 16 KiB",
    content: { "text/plain": { schema: { type: "string" } } },
  },
  TooMany: { description: "Too many requests", headers: RETRY_AFTER, content: PROBLEM },
  Unavailable: {
    description: "The database cannot be used; nothing was changed",
    headers: RETRY_AFTER,
    content: PROBLEM,
  },
} as const;

/** Which of them a route has: its name by the status. */
function answersOf(
  operation: Operation,
  secured: boolean,
): (readonly [string, keyof typeof RESPONSES])[] {
  const { parameters = [], requestBody } = operation;
  return [
    ...(parameters.length > 0 || requestBody ? [["400", "Unusable"]] as const : []),
    ...(secured ? [["401", "NoCredential"], ["403", "MayNot"]] as const : []),
    ...(requestBody ? [["408", "TooSlow"], ["413", "TooLarge"]] as const : []),
    ["429", "TooMany"],
    ["431", "LongHead"],
    ["503", "Unavailable"],
  ];
}

/** Adds the answers that routes have in common to a document's components. */
export function registerCommonAnswers(app: App): void {
  for (const [name, response] of Object.entries(RESPONSES)) {
    app.openAPIRegistry.registerComponent("responses", name, response);
  }
}

/** Adds to a route the answers that it does not tell of itself. */
export function addCommonAnswers(operation: Operation, secured: boolean): void {
  const own = operation.responses ?? {};
  const common = answersOf(operation, secured).filter(([status]) => own[status] === undefined)
    .map(([status, name]) => [status, { $ref: `#/components/responses/${name}` }]);
  operation.responses = { ...own, ...Object.fromEntries(common) };
}
