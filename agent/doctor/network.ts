/**
 * What the network lets through, measured by a socket of our own: it works without an agent, and does
 * not disturb one that runs.
 *
 * @module
 */
import { probe, type ServerReport } from "../netcheck/mod.ts";
import {
  type CaptivePortal,
  findCaptivePortal,
  lookAtRelay,
  microseconds,
  type RelayAddress,
  type RelayReport,
} from "./relay.ts";

/** How long the STUN servers have, ms. */
const STUN_LIMIT = 4_000;

/** What to ask. */
export interface NetworkQuestions {
  /** `host:port` each. */
  stunServers: readonly string[];
  relays: readonly RelayAddress[];
  /** PEM, trusted for relays beside the system's. */
  relayCaCerts: readonly string[];
}

/** What came out: the JSON of `nexd netcheck --json`. */
export interface NetworkReport {
  /** `yes`: a STUN server answered; `blocked`: none did, but a relay did over TCP. */
  udp: "yes" | "blocked" | "unknown";
  nat: "none" | "cone" | "symmetric" | "unknown";
  /** `ip:port` that STUN servers see. */
  ipv4?: string;
  ipv6?: string;
  /** This host has an IPv6 address that others could reach. */
  ipv6_address: boolean;
  stun: { server: string; seen?: string; rtt_ms?: number; error?: string }[];
  /** Nearest first. */
  relays: RelayReport[];
  captive_portal: CaptivePortal;
}

/** An address of an interface of this host. */
type OwnAddress = Pick<Deno.NetworkInterfaceInfo, "address" | "family">;

/** Asks everybody at once. Never rejects. */
export async function measureNetwork(questions: NetworkQuestions): Promise<NetworkReport> {
  const { relays } = questions;
  const [stun, reports, captive_portal] = await Promise.all([
    askStun(questions.stunServers),
    Promise.all(relays.map((relay) => lookAtRelay(relay, questions.relayCaCerts))),
    relays[0] === undefined
      ? { found: "unknown", reason: "there is no relay to ask" } as CaptivePortal
      : findCaptivePortal(relays[0].host),
  ]);
  return judge({ ...stun, relays: reports, captive_portal }, Deno.networkInterfaces());
}

interface StunAnswers {
  reflexive?: string;
  reflexive6?: string;
  symmetric?: boolean | undefined;
  servers: readonly ServerReport[];
  errors: readonly string[];
}

async function askStun(servers: readonly string[]): Promise<StunAnswers> {
  if (servers.length === 0) return { servers: [], errors: [] };
  try {
    return await probe({ port: 0, servers: [...servers], timeoutMs: STUN_LIMIT, every: true });
  } catch (error) {
    return { servers: [], errors: [(error as Error).message] };
  }
}

/** From answers to what they mean. Pure. */
export function judge(
  answers: StunAnswers & Pick<NetworkReport, "relays" | "captive_portal">,
  own: readonly OwnAddress[],
): NetworkReport {
  const { reflexive, reflexive6, symmetric, servers, relays, captive_portal } = answers;
  const answered = servers.some(({ seen }) => seen !== undefined) ||
    relays.some(({ stun_ms }) => stun_ms !== undefined);
  const overTcp = relays.some(({ https_ms, untrusted }) => https_ms !== undefined || untrusted);
  const four = reflexive?.replace(/:\d+$/, "");
  const open = own.some(({ address }) => address === four);
  const nat = symmetric === true
    ? "symmetric"
    : reflexive === undefined
    ? "unknown"
    : open
    ? "none"
    : symmetric === false
    ? "cone"
    : "unknown";
  const failed = new Set(servers.map(({ server }) => server));
  return {
    udp: answered ? "yes" : overTcp ? "blocked" : "unknown",
    nat,
    ...(reflexive === undefined ? {} : { ipv4: reflexive }),
    ...(reflexive6 === undefined ? {} : { ipv6: reflexive6 }),
    ipv6_address: own.some(({ address, family }) => family === "IPv6" && isGlobal(address)),
    stun: [
      ...servers.map(({ server, seen, rttMs, error }) => ({
        server,
        ...(seen === undefined ? {} : { seen }),
        ...(rttMs === undefined ? {} : { rtt_ms: microseconds(rttMs) }),
        ...(error === undefined ? {} : { error }),
      })),
      ...answers.errors.flatMap((text) => {
        const [, server, error] = /^STUN server (\S+): (.*)$/.exec(text) ?? [];
        return server === undefined || failed.has(server) ? [] : [{ server, error: error! }];
      }),
    ],
    relays: [...relays].sort((a, b) => latencyOf(a) - latencyOf(b)),
    captive_portal,
  };
}

function latencyOf({ https_ms, stun_ms }: RelayReport): number {
  return stun_ms ?? https_ms ?? Infinity;
}

/** 2000::/3, without 2001:db8::/32 which nobody has. */
function isGlobal(address: string): boolean {
  return /^[23]/.test(address) && address.includes(":") && address.split(":")[0]!.length === 4;
}
