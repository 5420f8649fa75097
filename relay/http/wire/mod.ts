/**
 * HTTP/1.1 on a connection that may become something else: heads, bodies, answers.
 *
 * @module
 */
export { refuse } from "./answer.ts";
export { close, farewell, writeAll } from "./farewell.ts";
export { HeadError, parseHead, RequestHead, wantsDerp, wantsWebSocket } from "./head.ts";
export { RequestInput } from "./input.ts";
export { answerByGuest, type Guest, type GuestClient, isFor } from "./guest.ts";
export { type BodySink, type BodySource, type Holding, LongBody } from "./long_body.ts";
export { plain } from "./request.ts";
export { type Fetcher, Responder } from "./responder.ts";
