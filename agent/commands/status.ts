/**
 * `nexd status` and `nexd peers list`: what a running agent tells of itself.
 *
 * @module
 */
import { describeAgent, renderPeers, renderStatus, socketPathOf } from "../ctl/mod.ts";
import { type CommandContext, printAll, type Values } from "./context.ts";

/** `nexd status`. Throws when no agent runs. */
export async function status(values: Values, context: CommandContext): Promise<void> {
  const status = await describeAgent(socketPathOf(values));
  if (context.json) context.print(JSON.stringify(status));
  else printAll(context, renderStatus(status, Date.now(), context.columns));
}

/** `nexd peers list`; with `--json` one object a peer. */
export async function peersList(values: Values, context: CommandContext): Promise<void> {
  const status = await describeAgent(socketPathOf(values));
  if (context.json) status.peers.forEach((peer) => context.print(JSON.stringify(peer)));
  else printAll(context, renderPeers(status, Date.now(), context.columns));
}
