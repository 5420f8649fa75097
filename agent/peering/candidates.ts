/**
 * From devices as published to peers that may be used. Whatever a device says about itself can be
 * wrong or hostile: it costs that device its place or a part of it, never another one's.
 *
 * @module
 */
import type { Device } from "../../control/api/types.ts";
import { isLowOrderPoint, keyFromBase64 } from "../../relay/derp/mod.ts";
import {
  contains,
  judgeEndpoint,
  overlap,
  parseAddress,
  parsePrefix,
  type Prefix,
} from "./addresses.ts";
import type { Peer, Self, Skipped } from "./types.ts";

/** Most peers given to WireGuard. */
export const MAX_PEERS = 4096;
/** Most notes kept of one peer. */
const MAX_NOTES = 8;

/** The devices of the VPC, sorted out. */
export interface Candidates {
  peers: Peer[];
  skipped: Skipped[];
}

/** What is known of relay devices: they take no tunnel traffic. */
export interface RelayDevices {
  /** Ids of on-boarded DERP relays. */
  derp: ReadonlySet<string>;
  /** Ids of relay devices whose kind is not known yet. */
  undecided: ReadonlySet<string>;
}

/** Sorts devices into peers and skipped ones; own device and deleted ones are in neither. */
export function chooseCandidates(devices: Device[], self: Self, relays: RelayDevices): Candidates {
  const peers: Peer[] = [], skipped: Skipped[] = [];
  const tunnel = [self.ipv4Cidr, self.ipv6Cidr].map(parsePrefix).filter((p) => p !== undefined);
  const taken = new Map<string, string>();
  for (const own of [self.tunnelIpv4, self.tunnelIpv6]) {
    const prefix = own === undefined ? undefined : parsePrefix(own);
    if (prefix !== undefined) taken.set(prefix.text, "this host");
  }
  const keys = new Set([self.publicKey]);
  // Sorted, so that who wins a conflict does not depend on the order of arrival.
  const ordered = [...devices].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  for (const device of ordered) {
    if (device.id === self.id || device.public_key === self.publicKey || device.public_key === "") {
      continue;
    }
    const skip = (code: Skipped["code"], reason: string) =>
      skipped.push({
        id: device.id,
        hostname: device.hostname,
        publicKey: device.public_key.slice(0, 44),
        code,
        reason,
      });
    if (relays.undecided.has(device.id)) {
      skip("relay-undecided", "it is a relay of a kind not known yet");
    } else if (relays.derp.has(device.id)) {
      skip("relay-device", "it is a DERP relay and takes no tunnel traffic");
    } else if (!isUsableKey(device.public_key)) {
      skip("bad-key", "its public key is not a WireGuard key");
    } else if (keys.has(device.public_key)) {
      skip("duplicate-key", "another device has the same public key");
    } else if (peers.length >= MAX_PEERS) {
      skip("too-many-peers", `the VPC has more than ${MAX_PEERS} devices`);
    } else {
      const peer = toPeer(device, self, tunnel, taken);
      if (peer === undefined) {
        skip("no-tunnel-address", "it has no tunnel address of its own inside the VPC");
      } else {
        keys.add(peer.publicKey);
        peers.push(peer);
      }
    }
  }
  return { peers, skipped };
}

function isUsableKey(text: string): boolean {
  try {
    return !isLowOrderPoint(keyFromBase64(text));
  } catch {
    return false;
  }
}

function toPeer(
  device: Device,
  self: Self,
  tunnel: Prefix[],
  taken: Map<string, string>,
): Peer | undefined {
  const notes: string[] = [];
  const note = (text: string) => {
    if (notes.length < MAX_NOTES) notes.push(text);
  };
  const own = (texts: { address: string }[]): Prefix | undefined => {
    for (const { address } of texts) {
      if (parseAddress(address) === undefined) continue;
      const prefix = parsePrefix(address)!;
      if (taken.has(prefix.text)) note(`${address} belongs to ${taken.get(prefix.text)}`);
      else if (tunnel.some((range) => contains(range, prefix))) return prefix;
      else note(`${address} is outside the VPC`);
    }
    return undefined;
  };
  const v4 = own(device.ipv4_tunnel_ips), v6 = own(device.ipv6_tunnel_ips);
  const allowed = [v4, v6].filter((prefix) => prefix !== undefined);
  if (allowed.length === 0) return undefined;
  const name = device.hostname || device.id;
  const advertised = new Set<string>();
  for (const text of device.advertise_cidrs ?? []) {
    const prefix = parsePrefix(text);
    const refusal = prefix === undefined ? "is no prefix" : refuseAdvertised(prefix, tunnel, taken);
    if (refusal !== undefined) note(`advertised ${text.slice(0, 64)} ${refusal}`);
    else advertised.add(prefix!.text);
  }
  for (const text of device.allowed_ips) {
    const prefix = parsePrefix(text);
    if (prefix === undefined) note(`allowed IP ${text.slice(0, 64)} is no prefix`);
    else if (!allowed.some((p) => p.text === prefix.text) && !advertised.has(prefix.text)) {
      note(`allowed IP ${prefix.text} is neither its address nor advertised`);
    }
  }
  const allowedIps = [...allowed.map((prefix) => prefix.text), ...advertised];
  for (const text of allowedIps) taken.set(text, name);

  const peer: Peer = {
    id: device.id,
    hostname: name,
    publicKey: device.public_key,
    allowedIps,
    symmetric: device.symmetric_nat,
    online: device.online,
    notes,
  };
  if (v4 !== undefined) peer.tunnelIpv4 = v4.address.toString();
  if (v6 !== undefined) peer.tunnelIpv6 = v6.address.toString();
  const ownEndpoints = [self.local, self.reflexive].filter((text) => text !== undefined);
  for (const { source, address } of device.endpoints ?? []) {
    const verdict = judgeEndpoint(address, tunnel, ownEndpoints);
    if ("refused" in verdict) note(`endpoint ${address.slice(0, 64)} ${verdict.refused}`);
    else if (source !== "local") peer.reflexive = verdict.text;
    else peer.local ??= verdict.text;
  }
  return peer;
}

/** Why an advertised range may not be routed to a peer. */
function refuseAdvertised(
  prefix: Prefix,
  tunnel: Prefix[],
  taken: ReadonlyMap<string, string>,
): string | undefined {
  if (prefix.bits === 0) return "is a default route, which needs an exit node";
  if (prefix.bits < (prefix.address.kind() === "ipv4" ? 8 : 16)) return "is too wide";
  const range = prefix.address.range();
  if (["unspecified", "loopback", "multicast", "broadcast", "linkLocal"].includes(range)) {
    return `is a ${range} range`;
  }
  if (tunnel.some((vpc) => overlap(vpc, prefix))) return "lies in the VPC's own range";
  return taken.has(prefix.text) ? `is advertised by ${taken.get(prefix.text)} already` : undefined;
}
