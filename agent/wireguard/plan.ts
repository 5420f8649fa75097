/**
 * From the peers that are wanted and those that were set before to the changes between them. Pure.
 *
 * @module
 */

import type { PeerConfig } from "./types.ts";
import type { PeerSet } from "./backend.ts";
import { isUnrouted, parseAllowedIp, parseEndpoint, PrefixError } from "./prefixes.ts";
import { cleanText } from "../errors.ts";

const MAX_PEERS = 16_384;
const MAX_ALLOWED_IPS = 1024;

/** A peer that passed every check. */
export interface CheckedPeer {
  endpoint?: string;
  keepaliveSeconds: number;
  /** One spelling, sorted, held by this peer alone. */
  allowedIps: string[];
  /** Those of them that the device routes; absent: all. */
  routes?: string[];
  /** Number of its session; absent: not known. */
  session?: number;
}

/** Checked peers by public key in hex. */
export type PeerTable = Map<string, CheckedPeer>;

/** Something left out, and why, in words for a log. */
export interface Skipped {
  subject: string;
  reason: string;
}

/** base64 (44 characters) to lower-case hex; undefined when it is not a 32-byte key. */
export function keyToHex(base64: string): string | undefined {
  if (base64.length !== 44) return undefined;
  try {
    const bytes = Uint8Array.fromBase64(base64, { lastChunkHandling: "strict" });
    return bytes.length === 32 ? bytes.toHex() : undefined;
  } catch {
    return undefined;
  }
}

/** The inverse of {@linkcode keyToHex}. */
export function keyFromHex(hex: string): string {
  return Uint8Array.fromHex(hex).toBase64();
}

/**
 * Checks what is wanted. A prefix belongs to one peer: to that which holds it in `applied` if it
 * still wants it, else to the first in the list; so the order of the list moves nothing.
 */
export function checkPeers(
  peers: readonly PeerConfig[],
  applied: PeerTable,
  ownKey: string,
): { wanted: PeerTable; skipped: Skipped[] } {
  const wanted: PeerTable = new Map();
  const skipped: Skipped[] = [];
  const skip = (peer: PeerConfig, what: string, reason: string) =>
    skipped.push({ subject: `peer ${cleanText(peer.publicKey, 50)}${what}`, reason });

  const claims = new Map<string, string>();
  const asked: [string, PeerConfig, string[]][] = [];
  for (const peer of peers) {
    const key = keyToHex(peer.publicKey);
    if (key === undefined || /^0+$/.test(key)) skip(peer, "", "malformed public key");
    else if (key === ownKey) skip(peer, "", "it is this device's own key");
    else if (wanted.has(key)) skip(peer, "", "given twice");
    else if (wanted.size === MAX_PEERS) skip(peer, "", `more than ${MAX_PEERS} peers`);
    else {
      const checked: CheckedPeer = {
        keepaliveSeconds: 0,
        allowedIps: [],
        session: peer.session ?? 0,
      };
      wanted.set(key, checked);
      if (peer.endpoint !== undefined) {
        attempt(() => checked.endpoint = parseEndpoint(peer.endpoint!), (reason) => {
          skip(peer, ` endpoint ${cleanText(peer.endpoint!, 60)}`, reason);
        });
      }
      const keepalive = peer.keepaliveSeconds;
      if (Number.isInteger(keepalive) && keepalive >= 0 && keepalive <= 65535) {
        checked.keepaliveSeconds = keepalive;
      } else skip(peer, ` keepalive ${keepalive}`, "not 0 to 65535 seconds");
      const prefixes: string[] = [];
      const routed = routedOf(peer);
      if (routed !== undefined) checked.routes = [...routed];
      if (peer.allowedIps.length > MAX_ALLOWED_IPS) {
        skip(peer, "", `only its first ${MAX_ALLOWED_IPS} allowed IPs are used`);
      }
      for (const text of peer.allowedIps.slice(0, MAX_ALLOWED_IPS)) {
        attempt(() => {
          const prefix = parseAllowedIp(text, { unrouted: routed !== undefined });
          const { cidr, bits } = prefix;
          if (!isUnrouted(prefix) || !routed!.has(cidr)) prefixes.push(cidr);
          else if (bits > 0) throw new PrefixError("nobody has such addresses");
          else throw new PrefixError("a default route is not the device's to set");
        }, (reason) => {
          skip(peer, ` allowed IP ${cleanText(text, 60)}`, reason);
        });
      }
      asked.push([key, peer, prefixes]);
    }
  }

  for (const [key, , prefixes] of asked) {
    const held = applied.get(key)?.allowedIps;
    if (held) { for (const prefix of prefixes) if (held.includes(prefix)) claims.set(prefix, key); }
  }
  for (const [key, peer, prefixes] of asked) {
    const own = new Set<string>();
    for (const prefix of prefixes) {
      const holder = claims.get(prefix) ?? key;
      claims.set(prefix, holder);
      if (holder === key) own.add(prefix);
      else skip(peer, ` allowed IP ${prefix}`, `peer ${keyFromHex(holder)} has it`);
    }
    const checked = wanted.get(key)!;
    checked.allowedIps = [...own].sort();
    if (checked.routes) checked.routes = checked.routes.filter((prefix) => own.has(prefix));
  }
  return { wanted, skipped };
}

/** The prefixes that a peer's routes are limited to, in one spelling; malformed ones are none. */
function routedOf(peer: PeerConfig): Set<string> | undefined {
  if (peer.routes === undefined) return undefined;
  const routed = new Set<string>();
  for (const text of peer.routes.slice(0, MAX_ALLOWED_IPS)) {
    attempt(() => routed.add(parseAllowedIp(text, { unrouted: true }).cidr), () => {});
  }
  return routed;
}

function attempt(action: () => void, refused: (reason: string) => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof PrefixError)) throw error;
    refused(error.message);
  }
}

/** What to send so that a device with `applied` has `wanted`; empty when there is no difference. */
export function diffPeers(applied: PeerTable, wanted: PeerTable): PeerSet[] {
  const changes: PeerSet[] = [];
  for (const key of applied.keys()) {
    if (!wanted.has(key)) changes.push({ publicKey: key, remove: true });
  }
  for (const [key, want] of wanted) {
    const have = applied.get(key);
    if (have?.session !== undefined && have.session !== want.session) {
      // Only a peer that is removed forgets its session.
      changes.push({ publicKey: key, remove: true }, create(key, want));
      continue;
    }
    const change = have ? update(key, have, want) : create(key, want);
    if (change) changes.push(change);
  }
  return changes;
}

/** A new peer starts with interval 0, so its keepalive also sends the first handshake. */
function create(key: string, want: CheckedPeer): PeerSet {
  const { routes: _, session: _number, ...peer } = want;
  return { publicKey: key, replaceAllowedIps: true, ...peer };
}

function update(key: string, have: CheckedPeer, want: CheckedPeer): PeerSet | undefined {
  const change: PeerSet = { publicKey: key, updateOnly: true };
  // A session must not wait for the next packet to use its new path: wake it.
  if (want.endpoint !== undefined && want.endpoint !== have.endpoint) {
    change.endpoint = want.endpoint;
    change.keepaliveSeconds = want.keepaliveSeconds;
    change.wake = true;
  }
  if (want.keepaliveSeconds !== have.keepaliveSeconds) {
    change.keepaliveSeconds = want.keepaliveSeconds;
  }
  const kept = have.allowedIps.every((prefix) => want.allowedIps.includes(prefix));
  if (!kept) {
    change.replaceAllowedIps = true;
    change.allowedIps = want.allowedIps;
  } else if (want.allowedIps.length > have.allowedIps.length) {
    // Adding alone leaves no moment in which the kept prefixes lead nowhere. They are told again all
    // the same: wg(8) forgets what it is not told.
    change.allowedIps = want.allowedIps;
  }
  return Object.keys(change).length > 2 ? change : undefined;
}

/** Whether a device that should have `applied` has other peers, keepalives or allowed IPs. */
export function drifted(applied: PeerTable, seen: PeerTable): boolean {
  if (applied.size !== seen.size) return true;
  for (const [key, { keepaliveSeconds, allowedIps }] of applied) {
    const peer = seen.get(key);
    if (
      peer?.keepaliveSeconds !== keepaliveSeconds || peer.allowedIps.length !== allowedIps.length ||
      peer.allowedIps.some((prefix, i) =>
        prefix !== allowedIps[i] && !allowedIps.includes(spell(prefix))
      )
    ) return true;
  }
  return false;
}

/** A device may spell a prefix in another way. */
function spell(prefix: string): string {
  let spelled = prefix;
  attempt(() => spelled = parseAllowedIp(prefix, { unrouted: true }).cidr, () => {});
  return spelled;
}

/** The routes of the interface: every prefix that the peers of `table` are allowed, unless they say less. */
export function routesOf(table: PeerTable): Set<string> {
  const routes = new Set<string>();
  for (const peer of table.values()) {
    for (const prefix of peer.routes ?? peer.allowedIps) routes.add(prefix);
  }
  return routes;
}
