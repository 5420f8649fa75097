/**
 * From the command line's values to the agent's settings; whatever is wrong with them is said here.
 *
 * @module
 */
import { parseHostPort } from "../../relay/net/mod.ts";
import { reasonOf, usageError } from "../errors.ts";
import { type JoinTarget, parseJoin } from "../onboarding/mod.ts";
import { readCaFile } from "../platform/mod.ts";
import { checkInterfaceName } from "../wireguard/mod.ts";

/** Values of a command's flags, by name. */
export type Values = Record<string, string | number | boolean | string[] | undefined>;

/** STUN servers used when none are named. */
const DEFAULT_STUN_SERVERS = [
  "stun.l.google.com:19302",
  "stun1.l.google.com:19302",
  "stun2.l.google.com:19302",
  "stun3.l.google.com:19302",
  "stun4.l.google.com:19302",
];
/** The relay used when neither the VPC nor the user names one. */
const DEFAULT_RELAY = "relay.nexodus.io:443";

/** Everything an agent is started with. */
export interface AgentConfig {
  join: JoinTarget;
  insecureSkipTlsVerify: boolean;
  caCerts: string[];
  stateDir: string;
  socketPath: string;
  interfaceName: string;
  /** 0: the remembered port, or a random one. */
  listenPort: number;
  requestIp?: string;
  localEndpointIp?: string;
  relayOnly: boolean;
  stunServers: string[];
  publicRelay: { host: string; port: number };
  relayCaCerts: string[];
  capture: "auto" | "portable" | "linux";
  hostname: string;
  version: string;
}

function isRoot(): boolean {
  return Deno.uid() === 0;
}

function homeDir(): string {
  const home = Deno.env.get("HOME");
  if (home === undefined || home === "") {
    throw usageError(
      "There is no home directory (HOME is not set); give --state-dir and --unix-socket",
    );
  }
  return home;
}

/** Where the control socket is when `--unix-socket` does not say. */
export function socketPathOf(values: Values): string {
  return text(values, "unix-socket") ??
    (isRoot() ? "/var/run/nexd.sock" : `${homeDir()}/.nexodus/nexd.sock`);
}

/** Checks all values. Throws {@link usageError}s naming the flag; reads the CA files. */
export async function readConfig(values: Values, version: string): Promise<AgentConfig> {
  const join = parseJoin(text(values, "reg-key"), text(values, "service-url"));
  const stun = list(values, "stun-server");
  if (stun.length === 1) {
    throw usageError(
      `One STUN server (${stun[0]}) cannot tell the NAT's kind; give --stun-server at least twice`,
    );
  }
  const servers = stun.length > 0 ? stun : shuffled(DEFAULT_STUN_SERVERS).slice(0, 3);
  const listenPort = Number(values["listen-port"] ?? 0);
  if (!Number.isInteger(listenPort) || listenPort < 0 || listenPort > 65535) {
    throw usageError(`--listen-port ${listenPort} is not a port; give 0 to 65535`);
  }
  const interfaceName = text(values, "interface") ?? "wg0";
  checkInterfaceName(interfaceName);
  const requestIp = ipv4(values, "request-ip");
  const localEndpointIp = ipv4(values, "local-endpoint-ip");
  const relay = hostPort("public-relay", text(values, "public-relay") ?? DEFAULT_RELAY, 443);
  const ca = text(values, "ca"), relayCa = text(values, "relay-ca");
  return {
    join,
    insecureSkipTlsVerify: values["insecure-skip-tls-verify"] === true,
    caCerts: ca === undefined ? [] : await readCaFile(ca),
    relayCaCerts: relayCa === undefined ? [] : await readCaFile(relayCa),
    stateDir: (text(values, "state-dir") ?? (isRoot() ? "/var/lib/nexd" : `${homeDir()}/.nexodus`))
      .replace(/(?<=.)\/+$/, ""),
    socketPath: socketPathOf(values),
    interfaceName,
    listenPort,
    ...(requestIp === undefined ? {} : { requestIp }),
    ...(localEndpointIp === undefined ? {} : { localEndpointIp }),
    relayOnly: values["relay-only"] === true,
    stunServers: servers.map((server) => {
      const { host, port } = hostPort("stun-server", server, 3478);
      return `${host.includes(":") ? `[${host}]` : host}:${port}`;
    }),
    publicRelay: relay,
    capture: (text(values, "capture") ?? "auto") as AgentConfig["capture"],
    hostname: Deno.hostname(),
    version,
  };
}

function text(values: Values, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function list(values: Values, name: string): string[] {
  const value = values[name];
  return Array.isArray(value) ? value : typeof value === "string" && value !== "" ? [value] : [];
}

function ipv4(values: Values, name: string): string | undefined {
  const value = text(values, name);
  if (value === undefined) return undefined;
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(value);
  if (parts === null || parts.slice(1).some((part) => Number(part) > 255)) {
    throw usageError(
      `--${name} ${value} is not an IPv4 address; give four numbers from 0 to 255, like 100.64.0.5`,
    );
  }
  return value;
}

function hostPort(flag: string, value: string, port: number): { host: string; port: number } {
  try {
    const parsed = parseHostPort(value, port);
    if (parsed.hostname === "" || parsed.port < 1) {
      throw new Error("Cannot use it: a host and a port from 1 to 65535 are needed");
    }
    return { host: parsed.hostname, port: parsed.port };
  } catch (error) {
    throw usageError(`--${flag} ${value}: ${reasonOf(error)}`);
  }
}

function shuffled<T>(items: T[]): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}
