/**
 * The ways to reach a peer, best first. A way is data plus two functions; a new one is a new row.
 *
 * @module
 */
import { ipOf } from "./published/mod.ts";
import type { MethodName, PathCode, Peer, Self } from "./types.ts";

/** What a method may look at. */
export interface MethodContext {
  self: Self;
  peer: Peer;
  /** Name of the DERP relay in use, if there is one. */
  relay: string | undefined;
  /** The peer's loopback endpoint, when the proxy has one for it. */
  loopback: string | undefined;
  /** A direct method has been tried and failed. */
  directFailed: boolean;
}

/** Whether a method can be used now, and why or why not. */
export type Verdict =
  | { usable: true; code: PathCode; reason: string }
  | { usable: false; reason: string };

/** One way to reach a peer. */
export interface Method {
  name: MethodName;
  /** Goes straight to the peer. */
  direct: boolean;
  applicable(context: MethodContext): Verdict;
  /** The endpoint to give WireGuard; called only when applicable. */
  endpoint(context: MethodContext): string;
}

const no = (reason: string): Verdict => ({ usable: false, reason });
const yes = (code: PathCode, reason: string): Verdict => ({ usable: true, code, reason });

/** The address both sides show to the world, when it is the same one. */
function sharedNat({ self, peer }: MethodContext): string | undefined {
  if (self.reflexive === undefined || peer.reflexive === undefined) return undefined;
  const mine = ipOf(self.reflexive);
  return mine === ipOf(peer.reflexive) ? mine : undefined;
}

/** Best first: the planner walks down this table. */
export const METHODS: readonly Method[] = [
  {
    name: "direct-local",
    direct: true,
    applicable(context) {
      if (context.self.relayOnly) return no("this host uses relays only");
      if (context.peer.local === undefined) return no("the peer publishes no local endpoint");
      const nat = sharedNat(context);
      if (nat === undefined) return no("not behind the same NAT");
      return yes("same-nat", `both are behind ${nat}, so the peer's local address is tried`);
    },
    endpoint: ({ peer }) => peer.local!,
  },
  {
    name: "reflexive",
    direct: true,
    applicable({ self, peer }) {
      if (self.relayOnly) return no("this host uses relays only");
      if (self.symmetric) return no("this host's NAT is symmetric");
      if (peer.symmetric) return no("the peer's NAT is symmetric");
      if (peer.reflexive === undefined) return no("the peer publishes no outside endpoint");
      return yes(
        "both-cone",
        "neither side's NAT is symmetric, so the peer's outside address works",
      );
    },
    endpoint: ({ peer }) => peer.reflexive!,
  },
  {
    name: "via-derp-relay",
    direct: false,
    applicable({ self, peer, relay, loopback, directFailed }) {
      if (relay === undefined) return no("no relay is known");
      if (loopback === undefined) return no("the proxy has no loopback endpoint for the peer");
      if (self.relayOnly) return yes("relay-only", `this host uses relays only: through ${relay}`);
      if (self.symmetric && peer.symmetric) {
        return yes("both-symmetric", `both NATs are symmetric: through ${relay}`);
      }
      if (self.symmetric) {
        return yes("self-symmetric", `this host's NAT is symmetric: through ${relay}`);
      }
      if (peer.symmetric) {
        return yes("peer-symmetric", `the peer's NAT is symmetric: through ${relay}`);
      }
      if (directFailed) {
        return yes("direct-failed", `no direct way answered: through ${relay}`);
      }
      if (peer.reflexive === undefined) {
        return yes(
          "no-endpoint",
          `the peer publishes no usable outside endpoint: through ${relay}`,
        );
      }
      return no("direct ways come first");
    },
    endpoint: ({ loopback }) => loopback!,
  },
];
