import type { StepRecord } from "./screen.ts";

/** One direction of one pair. */
export interface PingRecord {
  sent: number;
  received: number;
  loss_percent: number;
  /** Average; null when nothing came back. */
  rtt_ms: number | null;
}

/** How one host reaches another. */
export interface PathRecord {
  from: string;
  to: string;
  method: string;
  /** Why, for programs and for people. */
  code: string;
  reason: string;
  /** Where WireGuard sends: a loopback address for a relayed peer. */
  endpoint: string;
}

/** What the relay's counters and its memory say. */
export interface RelayRecord {
  /** Counters before and after the pings and iperf3. */
  packets_before: number;
  packets_after: number;
  /** What that comes to. */
  packets: number;
  bytes: number;
  dropped: number;
  /** Packets that came in, by the WireGuard message type in their clear first bytes. */
  wireguard_messages: Record<string, number>;
  /** Search for plaintext in the relay's memory; absent when nothing went through it. */
  ciphertext_only?: {
    ok: boolean;
    searched_bytes: number;
    found_in_relay: number;
    found_in_sender: number;
  };
}

/** The demo's outcome: what `--json` prints. */
export interface DemoResult {
  ok: boolean;
  /** Why not. */
  error?: string;
  hosts: number;
  /** What each router does, as its packets show it. */
  nat: { host: string; kind: string; seen: string[] }[];
  paths: PathRecord[];
  ping: {
    a_to_b: PingRecord;
    b_to_a: PingRecord;
    /** All pairs, where there are more than two hosts. */
    pairs?: (PingRecord & { from: string; to: string })[];
  };
  iperf: { mbit_per_s: number; reverse_mbit_per_s: number; seconds: number };
  relay: RelayRecord;
  /** The kept lab. */
  lab?: { id: string; dir: string; enter: Record<string, string>; end: string };
  steps: StepRecord[];
  /** Of the whole demo. */
  seconds: number;
}

/** A result with nothing in it yet. */
export function emptyResult(hosts: number): DemoResult {
  const nothing = (): PingRecord => ({ sent: 0, received: 0, loss_percent: 100, rtt_ms: null });
  return {
    ok: false,
    hosts,
    nat: [],
    paths: [],
    ping: { a_to_b: nothing(), b_to_a: nothing() },
    iperf: { mbit_per_s: 0, reverse_mbit_per_s: 0, seconds: 0 },
    relay: {
      packets_before: 0,
      packets_after: 0,
      packets: 0,
      bytes: 0,
      dropped: 0,
      wireguard_messages: {},
    },
    steps: [],
    seconds: 0,
  };
}
