/**
 * The control plane: the API that agents register with and watch, over HTTPS, kept in SQLite
 * or PostgreSQL.
 *
 * @module
 */
export { runBackup, runRestore } from "./backup/mod.ts";
export { type ControlSettings, settings as controlSettings } from "./config.ts";
export { readOidc } from "./oidc/mod.ts";
export { runRecover } from "./users/mod.ts";
export { newPassword } from "./auth/mod.ts";
export { ControlError } from "./errors.ts";
export { type ControlContext, runControl } from "./run.ts";
export { type Control, type ControlConfig, startControl } from "./server.ts";
export { type ControlService, openControl, type ServiceConfig } from "./service.ts";
