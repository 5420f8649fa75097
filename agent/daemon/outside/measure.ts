/**
 * What has to be known of this host before WireGuard takes its port: the port itself, the NAT in
 * front of it, and the address on the local network.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { AgentError, reasonOf } from "../../errors.ts";
import type { NatFacts } from "../../onboarding/mod.ts";
import type { AgentConfig } from "../config.ts";
import type { ServerReport } from "../../netcheck/mod.ts";
import type { Doors, ProbeFacts } from "../doors.ts";
import { isEndpoint } from "./whereabouts.ts";

const log = getLogger(["nexd", "agent"]);

/** How long STUN may take at a first start, and when there is a tunnel to bring back, ms. */
const PROBE_LIMIT = 3_000, QUICK_PROBE_LIMIT = 1_200;

/** Port, NAT and local address. */
interface HostFacts {
  port: number;
  nat: NatFacts;
  /** In the local network. */
  localIp?: string;
  /** What became of each STUN server. */
  servers: ServerReport[];
}

/** What is known from the last run. */
export interface Remembered {
  /** WireGuard's port; 0: none. */
  port: number;
  /** The NAT, when there is a tunnel to bring back. */
  nat: NatFacts | undefined;
}

/**
 * Chooses the port and asks STUN from it. A failed STUN costs only the reflexive endpoint; the NAT's
 * kind is then the remembered one.
 *
 * @throws {AgentError} when the port that the user chose is taken
 */
export async function measureHost(
  config: Pick<AgentConfig, "listenPort" | "stunServers" | "localEndpointIp">,
  doors: Pick<Doors, "freeUdpPort" | "probe" | "localEndpoint">,
  remembered: Remembered,
): Promise<HostFacts> {
  const port = await choosePort(config.listenPort, remembered.port, doors);
  const [probe, local] = await Promise.all([
    doors.probe({
      port,
      servers: config.stunServers,
      timeoutMs: remembered.nat === undefined ? PROBE_LIMIT : QUICK_PROBE_LIMIT,
    }).catch((error): ProbeFacts => ({ symmetric: undefined, errors: [reasonOf(error)] })),
    doors.localEndpoint(config.localEndpointIp).catch((error) => {
      log.warn("no local address to publish: {reason}", { reason: reasonOf(error) });
      return undefined;
    }),
  ]);
  const reflexive = isEndpoint(probe.reflexive) ? probe.reflexive : undefined;
  const reflexive6 = isEndpoint(probe.reflexive6) ? probe.reflexive6 : undefined;
  if (reflexive === undefined && reflexive6 === undefined) {
    log.warn("STUN gave no outside address: {errors}", {
      errors: probe.errors.slice(0, 3).join("; ") || "no answer",
    });
  }
  const symmetric = probe.symmetric ?? remembered.nat?.symmetric;
  return {
    port,
    nat: {
      ...(reflexive === undefined ? {} : { reflexive }),
      ...(reflexive6 === undefined ? {} : { reflexive6 }),
      ...(symmetric === undefined ? {} : { symmetric }),
    },
    ...(local === undefined ? {} : { localIp: local }),
    servers: probe.servers ?? [],
  };
}

async function choosePort(
  asked: number,
  before: number,
  doors: Pick<Doors, "freeUdpPort">,
): Promise<number> {
  const port = await doors.freeUdpPort(asked || before) ??
    (asked === 0 ? await doors.freeUdpPort(0) : undefined);
  if (port !== undefined) return port;
  throw new AgentError(
    asked === 0
      ? "Cannot find a free UDP port for WireGuard: all are in use or not permitted; " +
        "stop programs that hold many, or choose one with --listen-port"
      : `Cannot use UDP port ${asked} for WireGuard: it is in use or not permitted; ` +
        "stop what uses it or choose another --listen-port",
  );
}
