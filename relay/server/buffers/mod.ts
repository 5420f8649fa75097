/**
 * Where bytes wait: a connection's input, a client's output queue, and the pools both borrow from.
 *
 * @module
 */
export { Input } from "./input.ts";
export { Pools } from "./pool.ts";
export { OutputQueue, PACKET_PREFIX } from "./queue.ts";
