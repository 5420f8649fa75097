/**
 * The HTTP of the API, apart from its resources: routes with schemas, bodies, error answers, and the
 * holding back of refused streams.
 *
 * @module
 */
export {
  answers,
  type ApiContext,
  type App,
  endpoint,
  type Env,
  json,
  originOf,
} from "./endpoint.ts";
export { DEFAULT_HOLD, Holder, type HoldOptions } from "./hold.ts";
export { listAnswer, type ListOptions, listOptions, listQuery, type ListSpec } from "./lists.ts";
export { textField } from "./lists.ts";
export {
  conflict,
  fieldInvalid,
  fieldMissing,
  JSON_TYPE,
  noRoute,
  notAllowed,
  notFound,
  Problem,
  unavailableFor,
} from "./problem.ts";
export { Proxies } from "./proxies.ts";
export { isPlainText, MAX_BODY, readForm } from "./body.ts";
export { isThisHost } from "./this_host.ts";
