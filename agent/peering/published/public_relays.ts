/**
 * Which of the public relays that the control plane tells of can be used, in the order that all agents
 * have in common.
 *
 * @module
 */
import type { RelayRegion } from "../../../control/api/types.ts";
import { judgeEndpoint, parseAddress } from "./addresses.ts";
import { judgeAuthority } from "./authority.ts";

/** A public relay. */
export interface PublicRelay {
  /** A DNS name, or an IP address. */
  host: string;
  port: number;
  /** PEM texts of the only authorities trusted for it. */
  ca?: string[];
}

const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";

/** A name of DNS, of at most 253 letters. */
export const HOSTNAME: RegExp = new RegExp(`^(?=.{1,253}$)(?:${LABEL}\\.)*${LABEL}$`, "i");

/**
 * The relays to use: the heaviest first, those that are drained left out. When all of them are drained
 * there is nowhere else to go, and they stay.
 *
 * @param builtIn used where there is none to be told of
 */
export function publicRelaysOf(
  rows: readonly RelayRegion[],
  builtIn: PublicRelay,
): [PublicRelay, ...PublicRelay[]] {
  const usable = rows.flatMap((row) => {
    const relay = relayOf(row);
    return relay === undefined ? [] : [{ row, relay }];
  });
  const serving = usable.filter(({ row }) => !row.drained);
  const [first, ...others] = (serving.length > 0 ? serving : usable).sort((a, b) =>
    b.row.weight - a.row.weight || a.row.region_id - b.row.region_id ||
    compare(a.relay.host, b.relay.host) || a.relay.port - b.relay.port
  ).map(({ relay }) => relay);
  return first === undefined ? [builtIn] : [first, ...others];
}

function relayOf({ hostname, port, ca }: RelayRegion): PublicRelay | undefined {
  if (!Number.isInteger(port) || port < 1 || port > 65535) return undefined;
  const authority = judgeAuthority(ca);
  // Without its own authority it would be checked against others.
  if (authority !== undefined && !Array.isArray(authority)) return undefined;
  const trusted = authority === undefined ? {} : { ca: authority };
  const ip = parseAddress(hostname);
  if (ip === undefined) {
    if (!HOSTNAME.test(hostname) || /(^|\.)[0-9]+$/.test(hostname)) return undefined;
    return { host: hostname.toLowerCase(), port, ...trusted };
  }
  const bracketed = ip.kind() === "ipv6" ? `[${ip}]` : ip.toString();
  const verdict = judgeEndpoint(`${bracketed}:${port}`, [], []);
  return "ip" in verdict ? { host: verdict.ip, port, ...trusted } : undefined;
}

/** By code points: the same order on every host, whatever its language. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
