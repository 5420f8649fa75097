/**
 * Debug logging of a running agent, switched on and off by its tools.
 *
 * @module
 */
import { configure, getConfig } from "@logtape/logtape";

/** Level to go back to. */
let before: "debug" | "info" | "warning" | "error" | undefined;

const ofNexd = (category: string | readonly string[]) =>
  (typeof category === "string" ? category : category[0]) === "nexd";

/** Whether the log tells everything. */
export function isDebugOn(): boolean {
  return getConfig()?.loggers.find(({ category }) => ofNexd(category))?.lowestLevel === "debug";
}

/** Switches it. Off goes back to what it was; where it was on from the start, to `info`. */
export async function setDebug(on: boolean): Promise<void> {
  const config = getConfig();
  if (config === null || isDebugOn() === on) return;
  const loggers = config.loggers.map((logger) => {
    if (!ofNexd(logger.category)) return logger;
    if (on) before = logger.lowestLevel as typeof before;
    return { ...logger, lowestLevel: on ? "debug" as const : before ?? "info" as const };
  });
  await configure({ ...config, loggers, reset: true });
}
