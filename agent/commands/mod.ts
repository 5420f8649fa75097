/**
 * The commands of `table.ts`, by name.
 *
 * @module
 */
import { debugBundle } from "./bundle.ts";
import { completion } from "./completion.ts";
import type { Command } from "./context.ts";
import { doctor } from "./doctor.ts";
import { exitNodeDisable, exitNodeEnable, exitNodeList } from "./exit_node.ts";
import { install, uninstall } from "./install.ts";
import { logout } from "./logout.ts";
import { netcheck } from "./netcheck.ts";
import { peersPing, peersPing6 } from "./peers_ping.ts";
import { ping } from "./ping.ts";
import { peersList, status } from "./status.ts";

export type { Command, CommandContext } from "./context.ts";

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
