/**
 * All peers at once: one echo each, and a second and third where the first is not answered.
 *
 * @module
 */
import type { Pinger, PingOutcome } from "./pinger.ts";

/** How long one echo is waited for, ms, and how many there are. */
const WAIT = 1_500, TRIES = 2;
/** Most echoes under way. */
const PARALLEL = 64;

/** One peer's answer. */
export interface PeerEcho<Peer> {
  peer: Peer;
  /** The tunnel address that was asked; empty when it has none. */
  address: string;
  outcome: PingOutcome;
}

/** Pings peers at their tunnel addresses of one IP version, in the order given. */
export async function pingPeers<Peer extends { tunnel_ipv4: string; tunnel_ipv6: string }>(
  pinger: Pinger,
  peers: readonly Peer[],
  family: 4 | 6,
  signal?: AbortSignal,
): Promise<PeerEcho<Peer>[]> {
  const answers: PeerEcho<Peer>[] = [];
  let next = 0;
  const work = async () => {
    while (next < peers.length) {
      const at = next++, peer = peers[at]!;
      const address = family === 4 ? peer.tunnel_ipv4 : peer.tunnel_ipv6;
      let outcome: PingOutcome = { ok: false, error: `it has no IPv${family} address` };
      for (let i = 0; address !== "" && i < TRIES && !outcome.ok && !signal?.aborted; i++) {
        outcome = await pinger.ping(address, {
          timeoutMs: WAIT,
          ...(signal === undefined ? {} : { signal }),
        });
      }
      answers[at] = { peer, address, outcome };
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, peers.length) }, work));
  return answers;
}
