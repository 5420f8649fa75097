/**
 * Where the relay is, in the form in which devices say it.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Endpoint } from "../../control/api/types.ts";
import { reasonOf } from "../errors.ts";
import { ipOf } from "../peering/mod.ts";
import type { ProbeOptions, ProbeResult } from "../netcheck/mod.ts";

const log = getLogger(["nexd", "agent"]);

/** How long STUN may take, ms. */
const PROBE_LIMIT = 3_000;

/** How the surroundings are asked. */
export interface Surroundings {
  probe(options: ProbeOptions): Promise<Pick<ProbeResult, "reflexive" | "errors">>;
  localEndpoint(override?: string): Promise<string>;
}

/** What is known beforehand. */
interface Known {
  /** TCP port that the relay serves on. */
  port: number;
  publicIp?: string;
  localEndpointIp?: string;
  stunServers: string[];
  /** IP that STUN saw before. */
  remembered?: string;
}

/** The endpoints, and the outside IP if it was given or seen. */
export interface Whereabouts {
  endpoints: Endpoint[];
  reflexive?: string;
}

/**
 * The local and the outside endpoint. Ports are the relay's own: a mapped UDP port, which STUN would
 * tell, leads nowhere. Where no outside address is known the local one stands in for it, because
 * agents dial the second endpoint and stock ones expect it to be there.
 */
export async function whereabouts(known: Known, doors: Surroundings): Promise<Whereabouts> {
  const [local, seen] = await Promise.all([
    doors.localEndpoint(known.localEndpointIp).catch((error) => {
      log.warn("no local address to publish: {reason}", { reason: reasonOf(error) });
      return undefined;
    }),
    known.publicIp ?? outside(known, doors),
  ]);
  const outer = seen ?? known.remembered ?? local;
  const at = (ip: string) => `${ip.includes(":") ? `[${ip}]` : ip}:${known.port}`;
  return {
    endpoints: [
      ...(local === undefined ? [] : [{ source: "local", address: at(local) }]),
      ...(outer === undefined ? [] : [{ source: "stun:", address: at(outer) }]),
    ],
    ...(seen === undefined ? {} : { reflexive: seen }),
  };
}

/** From a free port: only the address matters. */
async function outside(known: Known, doors: Surroundings): Promise<string | undefined> {
  let why: string;
  try {
    const { reflexive, errors } = await doors.probe({
      port: 0,
      servers: known.stunServers,
      timeoutMs: PROBE_LIMIT,
    });
    if (reflexive !== undefined) return ipOf(reflexive);
    why = errors.slice(0, 2).join("; ") || "no answer";
  } catch (error) {
    why = reasonOf(error);
  }
  log.debug("STUN gave no outside address: {why}", { why });
  return undefined;
}
