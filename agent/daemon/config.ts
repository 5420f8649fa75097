/**
 * From the command line's values to the agent's settings; whatever is wrong with them is said here.
 *
 * @module
 */
import { parseHostPort, type RealtimeMode } from "../../relay/net/mod.ts";
import { socketPathOf } from "../ctl/mod.ts";
import { usageError } from "../errors.ts";
import type { UnderlayServer } from "../host/mod.ts";
import { PUBLIC_RELAY } from "../options.ts";
import { readHostPort, readSignIn, readText, type SignIn, type Values } from "../onboarding/mod.ts";
import { readCaFile } from "../platform/mod.ts";
import { checkInterfaceName } from "../wireguard/mod.ts";
import { readRouting } from "./routing_flags.ts";

/** NATs forget mappings that are not used for longer, ms. */
const MAX_STUN_INTERVAL = 120_000;

/** Everything an agent is started with. */
export interface AgentConfig extends SignIn {
  socketPath: string;
  interfaceName: string;
  /** 0: the remembered port, or a random one. */
  listenPort: number;
  requestIp?: string;
  localEndpointIp?: string;
  /** ms between STUN rounds; the usual time when left out. */
  stunInterval?: number;
  relayOnly: boolean;
  /** What this host is in its VPC: `relay` is a WireGuard relay, `router` brings networks with it. */
  mode: "agent" | "relay" | "router";
  /** Networks behind this host, canonical; those of an exit node hold everything. */
  advertiseCidrs: string[];
  /** Forward between the VPC and the advertised networks. */
  networkRouter: boolean;
  /** Let exit-node clients reach the Internet through this host. */
  exitNode: boolean;
  /** Forward with the peers' own addresses. */
  disableNat: boolean;
  /** Send all traffic through the VPC's exit node. */
  exitNodeClient: boolean;
  /** Which WireGuard; `auto`: the kernel's where there is one. */
  driver: "auto" | "kernel" | "wireguard-go";
  /** Whether the packet path runs in the real-time class, where wireguard-go carries it. */
  realtime: RealtimeMode;
  /** Port of relays that name none: 443, or 3340 in the relays' development mode. */
  relayPort: number;
  /** The public relay, where the control plane tells of none. */
  publicRelay: { host: string; port: number };
  /** The user has named it: the control plane is not asked for others. */
  fixedRelay: boolean;
  relayCaCerts: string[];
  capture: "auto" | "portable" | "linux";
  version: string;
  /** What the control socket says to Nexodus' nexctl when it asks for the version. */
  nexctlVersion?: string;
}

/**
 * Checks all values. Throws {@link usageError}s naming the flag; reads the CA files.
 *
 * @param mode what the command makes of this host
 */
export async function readConfig(
  values: Values,
  version: string,
  mode: AgentConfig["mode"] = "agent",
): Promise<AgentConfig> {
  const routing = readRouting(values, mode);
  const signIn = await readSignIn(values, { natKind: true });
  const listenPort = Number(values["listen-port"] ?? 0);
  if (!Number.isInteger(listenPort) || listenPort < 0 || listenPort > 65535) {
    throw usageError(`--listen-port ${listenPort} is not a port; give 0 to 65535`);
  }
  const interfaceName = readText(values, "interface") ?? "wg0";
  checkInterfaceName(interfaceName);
  const requestIp = ipv4(values, "request-ip");
  const localEndpointIp = ipv4(values, "local-endpoint-ip");
  const stunInterval = Number(values["stun-interval"] ?? 0);
  if (!Number.isInteger(stunInterval) || stunInterval < 0 || stunInterval > MAX_STUN_INTERVAL) {
    throw usageError(
      `--stun-interval ${stunInterval} is no time in milliseconds; give 1000 to ${MAX_STUN_INTERVAL}`,
    );
  }
  const relayPort = isSet(values, "derp-dev-mode") ? 3340 : 443;
  const relay = readHostPort(
    "public-relay",
    readText(values, "public-relay") ?? PUBLIC_RELAY,
    relayPort,
  );
  const relayCa = readText(values, "relay-ca");
  const nexctlVersion = readText(values, "nexctl-version");
  return {
    ...signIn,
    relayCaCerts: relayCa === undefined ? [] : await readCaFile(relayCa),
    socketPath: socketPathOf(values),
    interfaceName,
    listenPort,
    ...(requestIp === undefined ? {} : { requestIp }),
    ...(localEndpointIp === undefined ? {} : { localEndpointIp }),
    ...(stunInterval === 0 ? {} : { stunInterval: Math.max(1000, stunInterval) }),
    relayOnly: values["relay-only"] === true,
    mode,
    ...routing,
    driver: readDriver(values),
    realtime: (readText(values, "realtime") ?? "auto") as RealtimeMode,
    relayPort,
    publicRelay: relay,
    fixedRelay: readText(values, "public-relay") !== undefined,
    capture: (readText(values, "capture") ?? "auto") as AgentConfig["capture"],
    version,
    ...(nexctlVersion === undefined ? {} : { nexctlVersion }),
  };
}

/** A variable that Nexodus' agent takes as set whatever it holds; we let it say no. */
function isSet(values: Values, name: string): boolean {
  const value = readText(values, name)?.toLowerCase();
  return value !== undefined && !["0", "f", "false"].includes(value);
}

function readDriver(values: Values): AgentConfig["driver"] {
  const driver = (readText(values, "wireguard-driver") ?? "auto") as AgentConfig["driver"];
  return driver === "auto" && isSet(values, "use-wireguard-go") ? "wireguard-go" : driver;
}

function ipv4(values: Values, name: string): string | undefined {
  const value = readText(values, name);
  if (value === undefined) return undefined;
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(value);
  if (parts === null || parts.slice(1).some((part) => Number(part) > 255)) {
    throw usageError(
      `--${name} ${value} is not an IPv4 address; give four numbers from 0 to 255, like 100.64.0.5`,
    );
  }
  return value;
}

/** What must stay reachable outside the tunnel, beside relays; `issuer`: where users sign in. */
export function serversOf(
  { join, stunServers }: Pick<AgentConfig, "join" | "stunServers">,
  issuer: readonly UnderlayServer[],
): UnderlayServer[] {
  return [
    { host: join.apiUrl.hostname, port: Number(join.apiUrl.port) || 443 },
    ...issuer,
    ...stunServers.map((text) => {
      const { hostname, port } = parseHostPort(text, 3478);
      return { host: hostname, port };
    }),
  ];
}
