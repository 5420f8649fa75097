/**
 * The agent as a service of macOS.
 *
 * @module
 */
export { installLaunchd, type LaunchdOptions, uninstallLaunchd } from "./launchd.ts";
