/**
 * Turns of the event loop: what is done at their end, and when to let the sockets be looked at.
 *
 * @module
 */
export { type Flushable, Flusher, type Resumable } from "./flusher.ts";
