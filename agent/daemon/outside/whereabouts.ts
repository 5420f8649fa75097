/**
 * From what was measured to what is published.
 *
 * @module
 */
import type { NatFacts } from "../../onboarding/mod.ts";
import type { Whereabouts } from "./publisher.ts";

/** Only an `ip:port` is ever published. */
export function isEndpoint(text: string | undefined): text is string {
  return text !== undefined && /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):\d{1,5}$/.test(text);
}

/**
 * What this host says of itself. The source of a measured endpoint is always `stun:`, also after a
 * change of the NAT: stock agents look for exactly that. They take the last endpoint that is not
 * `local`, so IPv4 comes last. A host that uses relays only does not tell its IPv6 address: the
 * published kind of NAT keeps others off its IPv4 one, but says nothing of IPv6.
 */
export function whereaboutsOf(
  local: string | undefined,
  nat: NatFacts,
  relayOnly: boolean,
): Whereabouts {
  const { reflexive, reflexive6 } = nat;
  return {
    endpoints: [
      ...(isEndpoint(local) ? [{ source: "local", address: local }] : []),
      ...(isEndpoint(reflexive6) && !relayOnly ? [{ source: "stun:", address: reflexive6 }] : []),
      ...(isEndpoint(reflexive) ? [{ source: "stun:", address: reflexive }] : []),
    ],
    symmetric_nat: isSymmetric(nat, relayOnly),
  };
}

/** Symmetric as published: measured, forced, or nothing is known and the relay is the safe way. */
export function isSymmetric(
  { symmetric, reflexive, reflexive6 }: NatFacts,
  relayOnly: boolean,
): boolean {
  return relayOnly || (symmetric ?? (reflexive === undefined && reflexive6 === undefined));
}

/** `ip:port`, IPv6 in brackets. */
export function endpointOf(ip: string, port: number): string {
  return `${ip.includes(":") ? `[${ip}]` : ip}:${port}`;
}
