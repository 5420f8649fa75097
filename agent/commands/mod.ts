/**
 * The commands of `table.ts`, by name.
 *
 * @module
 */
import { completion } from "./completion.ts";
import type { Command } from "./context.ts";
import { debugBundle, doctor, install, netcheck, uninstall } from "./host/mod.ts";
import { logout } from "./logout.ts";
import {
  exitNodeDisable,
  exitNodeEnable,
  exitNodeList,
  peersPing,
  peersPing6,
  ping,
} from "./peers/mod.ts";
import { peersList, status } from "./status.ts";

export type { Command, CommandContext, ServeCommand } from "./context.ts";

export { serviceSettings } from "./host/mod.ts";

/** All of them. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  status,
  peersList,
  peersPing,
  peersPing6,
  ping,
  netcheck,
  doctor,
  debugBundle,
  exitNodeList,
  exitNodeEnable,
  exitNodeDisable,
  logout,
  install,
  uninstall,
  completion,
};
