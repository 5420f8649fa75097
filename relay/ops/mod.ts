/**
 * What a service's surroundings ask of it: the service manager, a run directory, spellings.
 *
 * @module
 */
export { parseDuration } from "./duration.ts";
export { LimitLog } from "./limit_log.ts";
export { loadRateConfig, type RateConfig } from "./rate_config.ts";
export { makeRunDir, removeRunDir } from "./run_dir.ts";
export { type Notifier, openNotifier } from "./systemd.ts";
export { watch } from "./watchdog.ts";
