/**
 * Why a peer is not reached a better way than it is.
 *
 * @module
 */
import { type MethodContext, METHODS, nameOf, type VpcRelay } from "./methods.ts";
import type { PathEvent, PeerPlan, Self } from "../types.ts";

/** A better way, and why it is not the one in use. */
export interface BetterWay {
  method: string;
  /** One sentence for people. */
  reason: string;
}

/** What a plan was made from, as far as the explanation needs it. */
interface Situation {
  self: Self;
  /** Name of the DERP relay in use, if there is one. */
  relay?: string;
  /** Of all peers: the VPC's relay is one of them. */
  plans: readonly PeerPlan[];
  /** ms since the epoch */
  now: number;
}

const TRIED: Partial<Record<PathEvent["event"], string>> = {
  failed: "nothing came back",
  suspect: "it went silent",
  unusable: "it could not be used any more",
  "probe-failed": "nothing came back",
};

/**
 * Explains plans: the methods above the one of a plan, best first, each with what keeps the peer from
 * it. Methods that are not about hosts like these are left out. Pure.
 */
export function explainer(situation: Situation): (plan: PeerPlan) => BetterWay[] {
  const vpcRelay = carrierOf(situation.plans);
  return (plan) => explain(plan, situation, vpcRelay);
}

function explain(
  plan: PeerPlan,
  { self, relay, now }: Situation,
  vpcRelay: VpcRelay | undefined,
): BetterWay[] {
  if (plan.method === "none") return []; // its reason names them all
  const context: MethodContext = {
    self,
    peer: plan.peer,
    relay,
    vpcRelay,
    loopback: plan.endpoint?.startsWith("127.") ? plan.endpoint : "127.0.0.1",
    directFailed: false,
  };
  const at = METHODS.findIndex(({ name }) => name === plan.method);
  return METHODS.slice(0, at).flatMap(({ name, applicable }) => {
    const verdict = applicable(context);
    const method = nameOf(name);
    if (verdict.usable) return [{ method, reason: lastTry(plan, method, now) }];
    // Over IPv6 it is the same method: worth a word only where it could be used.
    const moot = verdict.moot || method !== name;
    return moot ? [] : [{ method, reason: verdict.reason }];
  });
}

/** The VPC's relay, as its own plan shows it. */
function carrierOf(plans: readonly PeerPlan[]): VpcRelay | undefined {
  const relays = plans.filter(({ peer }) => peer.relay);
  const carrier = relays.find(({ healthy }) => healthy) ?? relays[0];
  if (carrier === undefined) return undefined;
  const { healthy, peer } = carrier;
  return { hostname: peer.hostname, mark: 0, healthy, pending: false, stable: healthy };
}

/** What became of a way that could be used. */
function lastTry(plan: PeerPlan, method: string, now: number): string {
  const event = plan.history.findLast((one) => one.method === method);
  const what = event === undefined ? undefined : TRIED[event.event];
  if (event !== undefined && what !== undefined) {
    return `${what} when it was tried ${spanText(now - event.at)} ago; it is tried again`;
  }
  if (event?.event === "probe") return "it is being tried now";
  if (plan.probes.speaks) return "the peer does not answer there; it is asked from time to time";
  return plan.code === "peer-moved" ? "the peer came this way" : "it is tried from time to time";
}

function spanText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
