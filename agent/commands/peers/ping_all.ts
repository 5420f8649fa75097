/**
 * `nexd peers ping` and `ping6`: one echo to every peer.
 *
 * @module
 */
import { describeAgent, msText, type PeerStatus, socketPathOf, table } from "../../ctl/mod.ts";
import { openPinger, type PeerEcho, pingPeers } from "../../icmp/mod.ts";
import { type Command, printAll } from "../context.ts";
import { isDirect, pathText } from "./find.ts";

const pingAll = (family: 4 | 6): Command => async (values, context) => {
  const status = await describeAgent(socketPathOf(values));
  const pinger = openPinger({ device: status.interface });
  let answers: PeerEcho<PeerStatus>[];
  try {
    answers = await pingPeers(pinger, status.peers, family, context.signal);
  } finally {
    await pinger.close();
  }
  if (context.json) {
    for (const { peer, address, outcome } of answers) {
      const { hostname, public_key, method, endpoint, relay } = peer;
      context.print(JSON.stringify({
        ...{ hostname, public_key, address, ok: outcome.ok },
        ...(outcome.ok ? { rtt_ms: outcome.rttMs } : { error: outcome.error }),
        ...{ direct: isDirect(peer), method, endpoint },
        ...(relay === undefined ? {} : { relay }),
      }));
    }
  } else {
    printAll(context, renderPings(answers, context.columns));
  }
  return answers.every(({ outcome }) => outcome.ok) ? 0 : 1;
};

/** The table of answers. */
export function renderPings(
  answers: readonly PeerEcho<Pick<PeerStatus, "hostname" | "method" | "endpoint" | "relay">>[],
  columns = 80,
): string[] {
  if (answers.length === 0) return ["no peers"];
  return table(
    ["PEER", "ADDRESS", "ANSWER", "PATH"],
    answers.map(({ peer, address, outcome }) => [
      peer.hostname,
      address || "-",
      outcome.ok ? msText(outcome.rttMs) : outcome.error,
      pathText(peer),
    ]),
    { columns, shrink: [3, 0, 2] },
  );
}

/** `nexd peers ping`; the exit status is 1 when a peer did not answer. */
export const peersPing: Command = pingAll(4);

/** The same over IPv6. */
export const peersPing6: Command = pingAll(6);
