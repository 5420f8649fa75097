/**
 * Peers as people name them.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { AgentError, cleanText } from "../../errors.ts";
import type { AgentStatus, PeerStatus } from "../../ctl/mod.ts";

/** Fewest characters of a key that name a peer. */
const SHORTEST_KEY = 4;

/**
 * The peer with a host name, a tunnel address or the start of a public key.
 *
 * @throws {AgentError} when there is none, or more than one
 */
export function findPeer(status: AgentStatus, word: string): PeerStatus {
  const name = word.toLowerCase().replace(/\.$/, "");
  const { peers } = status;
  const ways: ((peer: PeerStatus) => boolean)[] = [
    (peer) => isAddress(word, peer.tunnel_ipv4) || isAddress(word, peer.tunnel_ipv6),
    (peer) => peer.public_key === word,
    (peer) => peer.hostname.toLowerCase() === name,
    (peer) => peer.hostname.toLowerCase().split(".")[0] === name,
    (peer) => word.length >= SHORTEST_KEY && peer.public_key.startsWith(word),
  ];
  for (const way of ways) {
    const found = peers.filter(way);
    if (found.length === 1) return found[0]!;
    if (found.length > 1) {
      throw new AgentError(
        `${shown(word)} names ${found.length} peers; say which by its address: ` +
          found.slice(0, 4).map((p) => p.tunnel_ipv4 || p.tunnel_ipv6).join(", "),
      );
    }
  }
  if (isAddress(word, status.tunnel_ipv4) || isAddress(word, status.tunnel_ipv6)) {
    throw new AgentError(`${shown(word)} is this host itself; give the name of a peer`);
  }
  const left = status.skipped.find(({ hostname, public_key }) =>
    hostname.toLowerCase() === name || public_key.startsWith(word)
  );
  if (left !== undefined) throw new AgentError(`${shown(word)} is no peer: ${left.reason}`);
  const some = peers.slice(0, 5).map(({ hostname }) => shown(hostname)).join(", ");
  throw new AgentError(
    peers.length === 0
      ? `There is no peer ${shown(word)}: this VPC has no other device`
      : `There is no peer ${shown(word)}; there are ${some}${
        peers.length > 5 ? ` and ${peers.length - 5} more` : ""
      }`,
  );
}

const shown = (word: string) => cleanText(word, 63);

function isAddress(word: string, address: string): boolean {
  if (address === "" || !ipaddr.isValid(word)) return false;
  return ipaddr.parse(word).toNormalizedString() === ipaddr.parse(address).toNormalizedString();
}

/** Whether a peer's packets go straight to it. */
export function isDirect({ method }: Pick<PeerStatus, "method">): boolean {
  return method !== "none" && !method.startsWith("via-");
}

/** The way to a peer in a few words: an endpoint, or the relay between. */
export function pathText(peer: Pick<PeerStatus, "method" | "endpoint" | "relay">): string {
  switch (peer.method) {
    case "none":
      return "no way";
    case "via-derp-relay":
      return `DERP relay ${peer.relay ?? "?"}`;
    case "via-relay":
      return "the VPC's relay";
    default:
      return peer.endpoint === "" ? peer.method : `${peer.endpoint} (${peer.method})`;
  }
}
