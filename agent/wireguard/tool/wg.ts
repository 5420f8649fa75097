/**
 * WireGuard's own tool, wg(8), which speaks with the kernel of Linux and with wireguard-nt: what it
 * is asked and what it answers. Keys on its command line are public ones.
 *
 * Pure: values in, arguments out; text in, values out.
 *
 * @module
 */
import { AgentError } from "../../errors.ts";
import type { PeerSet, PeerState, TunnelState } from "../backend.ts";
import { keyFromHex, keyToHex } from "../plan.ts";

/** Bytes of one command line: Windows allows 32,767 characters, Linux more. */
const MAX_COMMAND = 24_000;
const MAX_PEERS = 1 << 16;

/** Arguments of the `wg set` commands that apply `changes`, in their order. */
export function setCommands(name: string, changes: Iterable<PeerSet>): string[][] {
  const commands: string[][] = [];
  let size = Infinity;
  for (const change of changes) {
    const args = peerArguments(change);
    const length = args.reduce((sum, arg) => sum + arg.length + 3, 0);
    if (size + length > MAX_COMMAND) {
      commands.push(["set", name]);
      size = 0;
    }
    commands.at(-1)!.push(...args);
    size += length;
  }
  return commands;
}

function peerArguments(change: PeerSet): string[] {
  const peer = ["peer", keyFromHex(change.publicKey)];
  if (change.remove) return [...peer, "remove"];
  const args = [...peer];
  if (change.endpoint !== undefined) args.push("endpoint", change.endpoint);
  if (change.keepaliveSeconds !== undefined) {
    // As a peer of its own, which the kernel sees first: only the step from 0 makes it send.
    if (change.wake && change.keepaliveSeconds > 0) {
      args.unshift(...peer, "persistent-keepalive", "0");
    }
    args.push("persistent-keepalive", String(change.keepaliveSeconds));
  }
  if (change.allowedIps !== undefined) args.push("allowed-ips", change.allowedIps.join(","));
  return args;
}

/**
 * Reads the answer of `wg show NAME dump`: one line of tabs for the interface, one for each peer.
 * Throws `AgentError`, with none of the text in it: it holds the private key.
 */
export function parseDump(text: string): TunnelState {
  const [head = "", ...lines] = text.trimEnd().split(/\r?\n/);
  const [, , port, mark, ...more] = head.split("\t");
  if (port === undefined || mark === undefined || more.length > 0) {
    throw malformed("interface");
  }
  if (lines.length > MAX_PEERS) throw malformed("number of peers");
  return {
    listenPort: count("listen port", port, 65535),
    fwmark: mark === "off" ? 0 : count("mark", mark, 0xffffffff),
    peers: lines.map(parsePeer),
  };
}

function parsePeer(line: string): PeerState {
  const [key, , endpoint, allowed, handshake, rx, tx, keepalive, ...more] = line.split("\t");
  const publicKey = keyToHex(key ?? "");
  if (publicKey === undefined || keepalive === undefined || more.length > 0) {
    throw malformed("peer");
  }
  return {
    publicKey,
    ...(endpoint !== "(none)" && { endpoint: endpoint! }),
    lastHandshake: count("handshake", handshake!) * 1000,
    rxBytes: count("received bytes", rx!),
    txBytes: count("sent bytes", tx!),
    keepaliveSeconds: keepalive === "off" ? 0 : count("keepalive", keepalive, 65535),
    allowedIps: allowed === "(none)" ? [] : allowed!.split(","),
  };
}

/** Decimal or, as for marks, hexadecimal. */
function count(what: string, text: string, max = Number.MAX_VALUE): number {
  const number = /^(\d{1,20}|0x[0-9a-f]{1,8})$/.test(text) ? Number(text) : NaN;
  if (!(number <= max)) throw malformed(what);
  return number;
}

function malformed(what: string): AgentError {
  return new AgentError(`Cannot read the answer of wg: malformed ${what}`);
}

/**
 * The times of handshakes, which `wg` tells in whole seconds, put where they can have been: within
 * their second, after the last look and before this one. A handshake that is the answer to what was
 * done a moment ago must not seem older than that.
 */
export class HandshakeTimes {
  #times = new Map<string, { second: number; at: number }>();
  #looked = 0;

  /** Rewrites `lastHandshake` of `peers`, read at `now` (ms since the epoch). */
  place(peers: PeerState[], now: number): void {
    const times = new Map<string, { second: number; at: number }>();
    for (const peer of peers) {
      const second = peer.lastHandshake;
      if (second === 0) continue;
      const known = this.#times.get(peer.publicKey);
      const at = known?.second === second
        ? known.at
        : this.#looked === 0
        ? second
        : Math.max(second, Math.min(second + 999, now));
      times.set(peer.publicKey, { second, at });
      peer.lastHandshake = at;
    }
    this.#times = times;
    this.#looked = now;
  }
}
