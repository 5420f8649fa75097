/**
 * The door of the command line: tables of flags become flags, their texts become checked values, the
 * environment and the defaults included, and a command becomes a room's function with a log, signals
 * and an exit status. Knows the command-line library and no room.
 *
 * @module
 */
export { type Build, build, type BuildKind, licenses, type Self, selfOf, STAMP } from "./build.ts";
export { bind, type Context, type Run, SERVICE_URL } from "./bind.ts";
export { addOptions, goSpellings, type OptionSpec, type Values } from "./flags.ts";
export { report } from "./report.ts";
export { errorsToFile } from "./stderr.ts";
export { type CommandTree, treeOf } from "./tree.ts";
