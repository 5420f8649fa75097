/**
 * What the relay saw: its own counters, and a search of its memory for what the hosts sent.
 *
 * @module
 */

import type { Mesh } from "../mesh/mod.ts";
import { searchMemory } from "./memory.ts";
import type { RelayRecord } from "./result.ts";

/** The relay's counters that matter here, at one moment. */
export interface RelayCounters {
  packets: number;
  bytes: number;
  dropped: number;
  messages: Record<string, number>;
}

const MESSAGE = /^nexd_wireguard_messages_received\{type="(\w+)"\}$/;

/** Reads the relay's counters. */
export async function readCounters(mesh: Mesh): Promise<RelayCounters> {
  const metrics = await mesh.relayMetrics();
  const messages: Record<string, number> = {};
  let dropped = 0;
  for (const [name, value] of metrics) {
    const type = name.match(MESSAGE)?.[1];
    if (type !== undefined) messages[type] = value;
    if (name.startsWith("derp_packets_dropped{")) dropped += value;
  }
  return {
    packets: metrics.get("derp_packets_sent") ?? 0,
    bytes: metrics.get("derp_bytes_sent") ?? 0,
    dropped,
    messages,
  };
}

/** What happened at the relay between two readings. */
export function difference(before: RelayCounters, after: RelayCounters): RelayRecord {
  const messages: Record<string, number> = {};
  for (const [type, value] of Object.entries(after.messages)) {
    messages[type] = value - (before.messages[type] ?? 0);
  }
  return {
    packets_before: before.packets,
    packets_after: after.packets,
    packets: after.packets - before.packets,
    bytes: after.bytes - before.bytes,
    dropped: after.dropped - before.dropped,
    wireguard_messages: messages,
  };
}

/**
 * Sends pings that consist of a random 16-byte mark, over and over, and while they pass searches
 * the relay's whole memory for the mark. The same search in the sender's memory must find it: it
 * shows that the search works.
 */
export async function searchForPlaintext(
  mesh: Mesh,
  from: string,
  to: string,
): Promise<NonNullable<RelayRecord["ciphertext_only"]>> {
  const mark = crypto.getRandomValues(new Uint8Array(16));
  const address = await mesh.tunnelIp(to);
  const before = await readCounters(mesh);
  const sender = await mesh.lab.host(from).spawn([
    ...["ping", "-n", "-i", "0.02", "-s", "1000", "-p", mark.toHex(), address],
  ], { log: "ping-with-mark" });
  try {
    await sender.waitFor(/bytes from/, 10_000);
    const relay = mesh.parts.get("relay");
    if (!relay) throw new Error("Cannot search the relay's memory: it does not run");
    const inRelay = await searchMemory(relay.pid, mark);
    const inSender = await searchMemory(sender.pid, mark);
    const passed = (await readCounters(mesh)).packets - before.packets;
    return {
      ok: passed > 0 && inRelay.found === 0 && inSender.found > 0,
      searched_bytes: inRelay.searched,
      found_in_relay: inRelay.found,
      found_in_sender: inSender.found,
    };
  } finally {
    sender.kill("SIGKILL");
    await sender.exited;
  }
}
