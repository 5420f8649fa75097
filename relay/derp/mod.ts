/**
 * The DERP protocol, pure: frames, keys, login boxes, HTTP heads. No input or output.
 *
 * `constants.ts` documents the wire. Everything that reads bytes from outside throws
 * {@linkcode DerpError} and nothing else.
 *
 * @module
 */

export * from "./constants.ts";
export * from "./error.ts";
export * from "./frames.ts";
export * from "./head.ts";
export * from "./key_table.ts";
export * from "./keys.ts";
export * from "./login/mod.ts";
export * from "./presence.ts";
export * from "./reader.ts";
