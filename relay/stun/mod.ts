/**
 * STUN: the codec, for servers and clients. The relay's server is in `server.ts`.
 *
 * @module
 */
export * from "./codec.ts";
