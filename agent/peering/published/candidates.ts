/**
 * From devices as published to peers that may be used. Whatever a device says about itself can be
 * wrong or hostile: it costs that device its place or a part of it, never another one's.
 *
 * @module
 */
import type { Device } from "../../../control/api/types.ts";
import { isLowOrderPoint, keyFromBase64 } from "../../../relay/derp/mod.ts";
import { cleanText } from "../../errors.ts";
import {
  contains,
  judgeEndpoint,
  parseAddress,
  parsePrefix,
  type Prefix,
  rangesOf,
} from "./addresses.ts";
import { type ExitWish, Networks } from "./networks.ts";
import type { Peer, Self, Skipped } from "../types.ts";

/** Most peers given to WireGuard. */
export const MAX_PEERS = 4096;
/** Most notes kept of one peer, and their length. */
const MAX_NOTES = 8, MAX_NOTE = 240;

/** The devices of the VPC, sorted out. */
interface Candidates {
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

/** What this host wants of networks behind peers. */
export interface NetworkWish {
  /** Networks that it advertises itself. */
  own?: readonly string[];
  /** It sends what has no other route to an exit node. */
  exit?: ExitWish | undefined;
}

/**
 * Sorts devices into peers and skipped ones; own device and deleted ones are in neither. Networks
 * are taken as devices advertise them, everything else only from the exit node that `wish` asks for.
 */
export function chooseCandidates(
  devices: Device[],
  self: Self,
  relays: RelayDevices,
  wish: NetworkWish = {},
): Candidates {
  const peers: Peer[] = [], skipped: Skipped[] = [];
  const tunnel = rangesOf([self.ipv4Cidr, self.ipv6Cidr]);
  const taken = new Map<string, string>();
  for (const own of [self.tunnelIpv4, self.tunnelIpv6]) {
    const prefix = own === undefined ? undefined : parsePrefix(own);
    if (prefix !== undefined) taken.set(prefix.text, "this host");
  }
  const networks = new Networks(tunnel, wish.own);
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
      const peer = toPeer(device, self, tunnel, taken, networks);
      if (peer === undefined) {
        skip("no-tunnel-address", "it has no tunnel address of its own inside the VPC");
      } else {
        keys.add(peer.publicKey);
        peers.push(peer);
      }
    }
  }
  if (wish.exit !== undefined) networks.chooseExit(wish.exit);
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
  networks: Networks,
): Peer | undefined {
  const notes: string[] = [];
  const note = (text: string) => {
    if (notes.length < MAX_NOTES) notes.push(cleanText(text, MAX_NOTE));
  };
  const own = (texts: { address: string }[], kind: "ipv4" | "ipv6"): Prefix | undefined => {
    for (const { address } of texts) {
      if (parseAddress(address)?.kind() !== kind) continue;
      const prefix = parsePrefix(address)!;
      if (taken.has(prefix.text)) note(`${address} belongs to ${taken.get(prefix.text)}`);
      else if (tunnel.some((range) => contains(range, prefix))) return prefix;
      else note(`${address} is outside the VPC`);
    }
    return undefined;
  };
  const v4 = own(device.ipv4_tunnel_ips, "ipv4"), v6 = own(device.ipv6_tunnel_ips, "ipv6");
  const allowedIps = [v4, v6].filter((prefix) => prefix !== undefined).map(({ text }) => text);
  if (allowedIps.length === 0) return undefined;
  const name = device.hostname || device.id;
  for (const text of allowedIps) taken.set(text, name);
  const advertised = device.advertise_cidrs ?? [];
  const behind = networks.take(advertised, name, note);
  const told = new Set(advertised.map((text) => parsePrefix(text)?.text));
  for (const text of device.allowed_ips) {
    const prefix = parsePrefix(text);
    if (prefix === undefined) note(`allowed IP ${text.slice(0, 64)} is no prefix`);
    else if (!allowedIps.includes(prefix.text) && !told.has(prefix.text)) {
      note(`allowed IP ${prefix.text} is not its address`);
    }
  }

  const peer: Peer = {
    id: device.id,
    hostname: name,
    publicKey: device.public_key,
    allowedIps,
    symmetric: device.symmetric_nat,
    online: device.online,
    notes,
  };
  // DERP relays and those of a kind not known yet are no peers: this one is WireGuard's.
  if (device.relay) peer.relay = true;
  if (behind.networks.length > 0) peer.networks = behind.networks;
  networks.offer(peer, behind.exits);
  if (v4 !== undefined) peer.tunnelIpv4 = v4.address.toString();
  if (v6 !== undefined) peer.tunnelIpv6 = v6.address.toString();
  const ownEndpoints = [self.local, self.reflexive, self.reflexive6].filter((text) =>
    text !== undefined
  );
  for (const { source, address } of device.endpoints ?? []) {
    const verdict = judgeEndpoint(address, tunnel, ownEndpoints);
    if ("refused" in verdict) note(`endpoint ${address.slice(0, 64)} ${verdict.refused}`);
    else if (source === "local") peer.local ??= verdict.text;
    else if (verdict.text.startsWith("[")) peer.reflexive6 = verdict.text;
    else peer.reflexive = verdict.text;
  }
  return peer;
}
