/**
 * The ways to reach a peer, best first. A way is data plus two functions; a new one is a new row.
 *
 * @module
 */
import { ipOf } from "../published/mod.ts";
import type { MethodId, MethodName, PathCode, Peer, Probed, Self } from "../types.ts";

/** The WireGuard relay that forwards for the VPC, as this host sees it. */
export interface VpcRelay {
  hostname: string;
  /** `markOf` its public key. */
  mark: number;
  healthy: boolean;
  /** Its first handshake may still come: too early for a way around it. */
  pending: boolean;
  /** It has been healthy for a while: worth leaving a DERP relay for. */
  stable: boolean;
}

/** What a method may look at. */
export interface MethodContext {
  self: Self;
  peer: Peer;
  /** Name of the DERP relay in use, if there is one. */
  relay: string | undefined;
  /** The VPC's WireGuard relay, if it has one. */
  vpcRelay: VpcRelay | undefined;
  /** The peer's loopback endpoint, when the proxy has one for it. */
  loopback: string | undefined;
  /** A direct method has been tried and failed. */
  directFailed: boolean;
  /** What probes have found out, when the peer knows them. */
  probed?: Probed | undefined;
  /** There was a handshake: WireGuard knows where the peer is. */
  met?: boolean;
  /** The peer tells of itself how far it is from behind the VPC's relay. */
  tells?: boolean;
  /** The current way works: it is not left for one that has yet to show that. */
  works?: boolean;
  /** It has been saying for a while that it does not reach that relay. */
  apart?: boolean;
  /** Where this host, as the VPC's relay, had it before it was started again. */
  seenAt?: string | undefined;
}

/** Whether a method can be used now, and why or why not. */
export type Verdict =
  | { usable: true; code: PathCode; reason: string }
  | { usable: false; reason: string; /** It is not about hosts like these. */ moot?: true };

/** One way to reach a peer. */
export interface Method {
  name: MethodId;
  /** Goes straight to the peer. */
  direct: boolean;
  applicable(context: MethodContext): Verdict;
  /** The endpoint to give WireGuard, if it gets one; called only when applicable. */
  endpoint(context: MethodContext): string | undefined;
}

const no = (reason: string): Verdict => ({ usable: false, reason });
const moot = (reason: string): Verdict => ({ usable: false, reason, moot: true });
const yes = (code: PathCode, reason: string): Verdict => ({ usable: true, code, reason });

/** The address both sides show to the world, when it is the same one. */
export function sharedNat({ self, peer }: MethodContext): string | undefined {
  if (self.reflexive === undefined || peer.reflexive === undefined) return undefined;
  const mine = ipOf(self.reflexive);
  return mine === ipOf(peer.reflexive) ? mine : undefined;
}

/** Why the peer's outside IPv4 address is of no use; undefined when it may be. */
function reflexive4({ self, peer }: MethodContext): string | undefined {
  if (self.symmetric) return "this host's NAT is symmetric";
  if (peer.symmetric) return "the peer's NAT is symmetric";
  return peer.reflexive === undefined ? "the peer publishes no outside endpoint" : undefined;
}

/** Where a peer is for everybody; over IPv6 only where this host has that. */
function outsideOf({ self, peer }: MethodContext): string | undefined {
  return peer.reflexive ?? (self.reflexive6 === undefined ? undefined : peer.reflexive6);
}

/** Methods between two hosts of which neither is a relay. */
function betweenHosts({ self, peer }: MethodContext): Verdict | undefined {
  if (self.relay) return moot("this host is the VPC's relay");
  return peer.relay ? moot("the peer is a relay") : undefined;
}

/** Methods of this host as a relay, or to a peer that is one. */
function atRelay({ self, peer }: MethodContext, whose: "self" | "peer"): Verdict | undefined {
  if (whose === "self") return self.relay ? undefined : moot("this host is no relay");
  if (self.relay) return moot("this host is a relay itself");
  return peer.relay ? undefined : moot("the peer is no relay");
}

function byLocal(context: MethodContext, code: PathCode): Verdict {
  if (context.peer.local === undefined) return no("the peer publishes no local endpoint");
  const nat = sharedNat(context);
  if (nat === undefined) return no("not behind the same NAT");
  const { self, peer } = context;
  const six = self.local?.startsWith("[") || self.reflexive6 !== undefined;
  if (peer.local!.startsWith("[") && !six) return no("the peer's local address is IPv6");
  return yes(code, `both are behind ${nat}, so the peer's local address is tried`);
}

/**
 * Best first: the planner walks down this table.
 *
 * A relay's address is known to all: peers speak first, also those that moved, and WireGuard follows
 * them. Only a relay that has just started is told where they were, or may be, whatever is said of
 * their NATs: those that have a session with it from before would keep to that until it is old.
 */
export const METHODS: readonly Method[] = [
  {
    name: "relay-node-self-direct-local",
    direct: true,
    applicable: (context) => atRelay(context, "self") ?? byLocal(context, "self-is-relay"),
    endpoint: ({ peer, met, seenAt }) => met ? undefined : seenAt ?? peer.local,
  },
  {
    name: "relay-node-self",
    direct: true,
    applicable: (context) =>
      atRelay(context, "self") ??
        yes("self-is-relay", "this host is the VPC's relay: wherever the peer speaks from"),
    endpoint: (context) => context.met ? undefined : context.seenAt ?? outsideOf(context),
  },
  {
    name: "relay-node-peer-direct-local",
    direct: true,
    applicable: (context) => atRelay(context, "peer") ?? byLocal(context, "peer-is-relay"),
    endpoint: ({ peer }) => peer.local,
  },
  {
    name: "relay-node-peer",
    direct: true,
    applicable(context) {
      const refused = atRelay(context, "peer");
      if (refused !== undefined) return refused;
      if (outsideOf(context) === undefined) {
        return no("the relay publishes no outside endpoint");
      }
      return yes("peer-is-relay", "the peer is the VPC's relay, at its outside address");
    },
    endpoint: outsideOf,
  },
  {
    name: "direct-local",
    direct: true,
    applicable(context) {
      const refused = betweenHosts(context);
      if (refused !== undefined) return refused;
      if (context.self.relayOnly) return no("this host uses relays only");
      return byLocal(context, "same-nat");
    },
    endpoint: ({ peer }) => peer.local,
  },
  {
    name: "reflexive",
    direct: true,
    applicable(context) {
      const refused = betweenHosts(context);
      if (refused !== undefined) return refused;
      if (context.self.relayOnly) return no("this host uses relays only");
      const why = reflexive4(context);
      if (why !== undefined) return no(why);
      return yes(
        "both-cone",
        "neither side's NAT is symmetric, so the peer's outside address works",
      );
    },
    endpoint: ({ peer }) => peer.reflexive,
  },
  {
    // Without NAT nothing but firewalls stands between two IPv6 hosts, and both of them send.
    name: "reflexive-ipv6",
    direct: true,
    applicable(context) {
      const refused = betweenHosts(context);
      if (refused !== undefined) return refused;
      const { self, peer } = context;
      if (self.relayOnly) return no("this host uses relays only");
      if (self.reflexive6 === undefined) return no("this host has no IPv6");
      if (peer.reflexive6 === undefined) return no("the peer publishes no IPv6 endpoint");
      const why = reflexive4(context);
      return yes("both-ipv6", `both have IPv6, and over IPv4 ${why ?? "the peer did not answer"}`);
    },
    endpoint: ({ peer }) => peer.reflexive6,
  },
  {
    name: "via-relay",
    direct: false,
    applicable(context) {
      const refused = betweenHosts(context);
      if (refused !== undefined) return refused;
      const { vpcRelay, apart } = context;
      if (vpcRelay === undefined) return moot("the VPC has no WireGuard relay");
      if (!vpcRelay.healthy) return no(`the VPC's relay ${vpcRelay.hostname} does not answer`);
      if (apart) return no(`the peer does not reach the VPC's relay ${vpcRelay.hostname}`);
      return yes("vpc-relay", `through the VPC's relay ${vpcRelay.hostname}`);
    },
    // Its prefixes are the relay's; the peer itself is in WireGuard only beside it (`crossing/`).
    endpoint: () => undefined,
  },
  {
    name: "via-derp-relay",
    direct: false,
    applicable(context) {
      const refused = betweenHosts(context);
      if (refused !== undefined) return refused;
      const { self, peer, relay, vpcRelay, loopback, probed, tells, apart, works } = context;
      // Who knows probes is left on the relay until a direct way has answered.
      const directFailed = context.directFailed || probed?.speaks;
      // Who tells how far it is is left on this way until both have left it.
      if (vpcRelay?.stable && !tells && !apart) {
        return no(`the VPC's relay ${vpcRelay.hostname} comes first`);
      }
      if (vpcRelay?.pending && !works) {
        return no(`the VPC's relay ${vpcRelay.hostname} is being tried`);
      }
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
    endpoint: ({ loopback }) => loopback,
  },
];

/** The row of a method. */
export function methodOf(name: MethodId): Method {
  return METHODS.find((method) => method.name === name)!;
}

/** What a row is called outside of the planner. */
export function nameOf(id: MethodId | undefined): MethodName | "none" {
  return id === "reflexive-ipv6" ? "reflexive" : id ?? "none";
}
