/**
 * `nexd exit-node`: who offers to carry all traffic, and whether this host uses that.
 *
 * @module
 */
import { describeExitNodes, socketPathOf, switchExitNodeClient, table } from "../../ctl/mod.ts";
import { cleanText } from "../../errors.ts";
import { type Command, type CommandContext, printAll, type Values } from "../context.ts";

/** `nexd exit-node list`; with `--json` one object a node. */
export async function exitNodeList(values: Values, context: CommandContext): Promise<void> {
  const nodes = await describeExitNodes(socketPathOf(values));
  if (context.json) return nodes.forEach((node) => context.print(JSON.stringify(node)));
  if (nodes.length === 0) return context.print("no exit nodes");
  const yes = (is: boolean) => is ? "yes" : "no";
  printAll(
    context,
    table(
      ["EXIT NODE", "HEALTHY", "IN USE", "ENDPOINT"],
      nodes.map((node) => [
        node.hostname,
        yes(node.healthy),
        yes(node.in_use),
        node.endpoint || "-",
      ]),
      { columns: context.columns },
    ),
  );
}

const switchTo = (on: boolean): Command => async (values, context) => {
  const socket = socketPathOf(values);
  await switchExitNodeClient(socket, on);
  if (context.json) return context.print(JSON.stringify({ exit_node_client: on }));
  if (!on) return context.print("Only the VPC's traffic goes through the tunnel");
  const node = (await describeExitNodes(socket)).find(({ in_use }) => in_use);
  context.print(
    `All traffic of this host goes through ${
      node === undefined ? "the VPC's exit node" : cleanText(node.hostname, 40)
    }`,
  );
};

/** `nexd exit-node enable`. Throws the agent's reason when it cannot be. */
export const exitNodeEnable: Command = switchTo(true);

/** `nexd exit-node disable`. */
export const exitNodeDisable: Command = switchTo(false);
