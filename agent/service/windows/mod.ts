/**
 * The agent as a service of Windows.
 *
 * @module
 */
export { installTask, type TaskOptions, uninstallTask } from "./scheduler.ts";
