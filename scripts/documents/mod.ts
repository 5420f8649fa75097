/**
 * The commands of the documents, run as their readers would.
 *
 * @module
 */

export { type Block, blocksOf, notPrinted } from "./blocks.ts";
export { documents, type Page, PAGES } from "./pages.ts";
export { playPage } from "./play.ts";
export { partOf } from "./stage.ts";
