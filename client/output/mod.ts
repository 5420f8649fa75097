/**
 * Answers of the API as texts: tables for people, JSON and YAML for programs. Whatever a stranger put
 * into an answer cannot steer the terminal.
 *
 * @module
 */
export { jsonText, parseJson } from "./json.ts";
export { type Format, render } from "./render.ts";
export { cleanText, type Column, type Row, type View } from "./table.ts";
