/**
 * The flags by which a host signs in to a control plane, for the agent and the on-boarded relay.
 *
 * @module
 */
import { parseHostPort } from "../../../relay/net/mod.ts";
import { reasonOf, usageError } from "../../errors.ts";
import { programData, readCaFile } from "../../platform/mod.ts";
import { type JoinTarget, parseJoin } from "./join.ts";
import { pinnedCa, readFingerprint } from "./pinned_ca.ts";

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

/** What signing in takes. */
export interface SignIn {
  join: JoinTarget;
  insecureSkipTlsVerify: boolean;
  /** PEM texts of CAs trusted for the control plane beside the system's. */
  caCerts: string[];
  stateDir: string;
  /** VPC to join instead of the credential's own (UUID). */
  vpcId?: string;
  /** Instead of the VPC's default group (UUID). */
  securityGroupId?: string;
  /** `host:port` each. */
  stunServers: string[];
  /** Of this host, as the others see it; empty where the runtime may not know it. */
  hostname: string;
}

/**
 * Checks the values. Throws {@link usageError}s naming the flag; reads the CA
 * file, or fetches the CA of a fingerprint.
 *
 * @param needs.natKind the kind of NAT has to be told, which takes two STUN servers
 */
export async function readSignIn(values: Values, needs: { natKind: boolean }): Promise<SignIn> {
  const join = parseJoin({
    regKey: readText(values, "reg-key"),
    serviceUrl: readText(values, "service-url"),
    username: readText(values, "username"),
    password: readText(values, "password"),
  });
  const vpcId = readUuid(values, "vpc-id");
  const securityGroupId = readUuid(values, "security-group-id");
  if (join.credential.kind === "reg-key" && (vpcId ?? securityGroupId) !== undefined) {
    throw usageError(
      "A registration key names its VPC and security group: leave out --vpc-id and " +
        "--security-group-id (and NEXD_VPC_ID, NEXAPI_SECURITY_GROUP_ID)",
    );
  }
  const stun = readList(values, "stun-server");
  if (stun.length === 1 && needs.natKind) {
    throw usageError(
      `One STUN server (${stun[0]}) cannot tell the NAT's kind; give --stun-server at least twice`,
    );
  }
  const servers = stun.length > 0 ? stun : shuffled(DEFAULT_STUN_SERVERS).slice(0, 3);
  const stateDir = (readText(values, "state-dir") ?? usualStateDir()).replace(/(?<=.)\/+$/, "");
  return {
    join,
    insecureSkipTlsVerify: values["insecure-skip-tls-verify"] === true,
    caCerts: await readCa(readText(values, "ca"), join.apiUrl, stateDir),
    stateDir,
    ...(vpcId === undefined ? {} : { vpcId }),
    ...(securityGroupId === undefined ? {} : { securityGroupId }),
    stunServers: servers.map((server) => {
      const { host, port } = readHostPort("stun-server", server, 3478);
      return `${host.includes(":") ? `[${host}]` : host}:${port}`;
    }),
    hostname: permitted(() => Deno.hostname()) ?? "",
  };
}

/**
 * The CAs that `--ca` names, PEM each: those of a file, or the control plane's own by its fingerprint.
 * None without the flag. Throws one sentence that says what is wrong with them.
 */
export async function readCa(
  ca: string | undefined,
  apiUrl: URL,
  stateDir: string,
): Promise<string[]> {
  if (ca === undefined) return [];
  const fingerprint = readFingerprint(ca);
  return fingerprint === undefined
    ? await readCaFile(ca)
    : await pinnedCa(apiUrl, fingerprint, stateDir);
}

function usualStateDir(): string {
  if (Deno.build.os === "windows") return programData();
  return isRoot() ? "/var/lib/nexd" : `${homeDir()}/.nexodus`;
}

/** Whether the process has every right on this host; on Windows only `isAdministrator` can tell. */
export function isRoot(): boolean {
  return permitted(() => Deno.uid()) === 0;
}

/** What `ask` gives, or undefined where the runtime was started without the permission. */
function permitted<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

/** Where a user without root keeps things. Throws a usage error when the environment does not say. */
export function homeDir(): string {
  const variable = Deno.build.os === "windows" ? "USERPROFILE" : "HOME";
  const home = permitted(() => Deno.env.get(variable));
  if (home === undefined || home === "") {
    throw usageError(
      `There is no home directory (${variable} is not set); give --state-dir and --unix-socket`,
    );
  }
  return home;
}

/** The text of a flag, or undefined where it is absent or empty. */
export function readText(values: Values, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function readUuid(values: Values, name: string): string | undefined {
  const value = readText(values, name);
  if (value === undefined) return undefined;
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)) {
    throw usageError(
      `--${name} ${
        value.slice(0, 60)
      } is not a UUID; give one like 5f0c3b1e-8d1a-4c55-9a0e-2b6f7d9c1a10`,
    );
  }
  return value.toLowerCase();
}

/** The texts of a flag that may be repeated. */
export function readList(values: Values, name: string): string[] {
  const value = values[name];
  return Array.isArray(value) ? value : typeof value === "string" && value !== "" ? [value] : [];
}

/** A host and a port of a flag. Throws a usage error naming it. */
export function readHostPort(
  flag: string,
  value: string,
  port: number,
): { host: string; port: number } {
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
