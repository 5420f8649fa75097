/** What tests of ACME share: CAs of their own, and a web server that answers their challenges. */
export { type FakeCa, type Handler, problem, publicLeaf, startFakeCa } from "./fake.ts";
export { cannotPebble, Pebble, type PebbleOptions } from "./pebble.ts";
export { serveTokens, temporary, until } from "./support.ts";
