/**
 * WireGuard by its own tool, `wg`.
 *
 * @module
 */
export { WgTool } from "./tool.ts";
export { parseDump, setCommands } from "./wg.ts";
