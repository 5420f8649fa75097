/** What tests of ACME share: a CA of their own, and a web server that answers its challenges. */
export { cannotPebble, Pebble, type PebbleOptions } from "./pebble.ts";
export { serveTokens, temporary, until } from "./support.ts";
