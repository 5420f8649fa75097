/**
 * This host's address in its own network.
 *
 * @module
 */

import ipaddr from "ipaddr.js";
import { AgentError, usageError } from "../errors.ts";
import { runIp } from "../platform/mod.ts";

/** Only the routing table is asked about it: nothing is sent there. */
const SOMEWHERE = "1.1.1.1";

/**
 * The IPv4 address that packets to the Internet start from; without a default route the first
 * address of an interface that leads out of the host. `override` is checked and returned as it is.
 * Throws `AgentError` when it is no IP address (exit code 2), or when there is none to find.
 */
export async function localEndpoint(override?: string): Promise<string> {
  if (override !== undefined) {
    const valid = ipaddr.IPv4.isValidFourPartDecimal(override) || ipaddr.IPv6.isValid(override);
    if (valid && isHost(override)) return override;
    throw usageError(
      `Cannot use ${JSON.stringify(override.slice(0, 60))} as --local-endpoint-ip: it is not the ` +
        `IP address of a host`,
    );
  }
  const address = await routeSource() ?? interfaceAddress();
  if (address !== undefined) return address;
  throw new AgentError(
    "Cannot find an IPv4 address of this host; connect it to a network or give --local-endpoint-ip",
  );
}

async function routeSource(): Promise<string | undefined> {
  try {
    const { code, stdout } = await runIp(["-json", "-4", "route", "get", SOMEWHERE]);
    const source = code === 0 ? JSON.parse(stdout)?.[0]?.prefsrc : undefined;
    return typeof source === "string" && isPlainIpv4(source) ? source : undefined;
  } catch {
    // No iproute2 here: the interfaces themselves are the next best.
    return undefined;
  }
}

function interfaceAddress(): string | undefined {
  return Deno.networkInterfaces().find((one) => one.family === "IPv4" && isPlainIpv4(one.address))
    ?.address;
}

function isPlainIpv4(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) && isHost(text) &&
    !["loopback", "linkLocal"].includes(ipaddr.IPv4.parse(text).range());
}

/** Whether an address can be that of one host. */
export function isHost(text: string): boolean {
  return !["unspecified", "broadcast", "multicast"].includes(ipaddr.parse(text).range());
}
