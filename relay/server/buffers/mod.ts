/**
 * Where bytes wait: a connection's input, a client's output queue, and the pools both borrow from.
 *
 * @module
 */
export { Input, InputPools } from "./input.ts";
export { BufferPool } from "./pool.ts";
export { OutputQueue, PACKET_PREFIX, QueuePools } from "./queue.ts";
