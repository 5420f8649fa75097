/**
 * The agent as a service of the system.
 *
 * @module
 */
export { Heart, type Notifier } from "./heart.ts";
export {
  installService,
  type Service,
  type ServiceName,
  type ServiceOptions,
  uninstallService,
} from "./install.ts";
export { installLaunchd, uninstallLaunchd } from "./macos/mod.ts";
export { readSettings, type ServiceSettings } from "./settings.ts";
export { installTask, uninstallTask } from "./windows/mod.ts";
export { serveUnitText } from "./serve_unit.ts";
export { type UnitFacts, unitText } from "./unit.ts";
