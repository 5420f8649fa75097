/**
 * The flags that say what this host carries for others: `nexd relay`, `nexd router`, exit nodes.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { usageError } from "../errors.ts";
import { readList, type Values } from "../onboarding/mod.ts";
import type { AgentConfig } from "./config.ts";

/** What an exit node advertises. */
const EVERYWHERE = ["0.0.0.0/0", "::/0"];
/** Networks that one host may bring. */
const MAX_CIDRS = 256;

/** The part of the settings that these flags make. */
type Routing = Pick<
  AgentConfig,
  "advertiseCidrs" | "networkRouter" | "exitNode" | "disableNat" | "exitNodeClient"
>;

/** Checks the values. Throws usage errors naming the flag. */
export function readRouting(values: Values, mode: AgentConfig["mode"]): Routing {
  const on = (name: string) => values[name] === true;
  const named = [...readList(values, "advertise-cidr"), ...readList(values, "child-prefix")];
  const routing = {
    advertiseCidrs: [...new Set(named.map(canonical))],
    networkRouter: on("network-router"),
    exitNode: on("exit-node"),
    disableNat: on("disable-nat"),
    exitNodeClient: on("exit-node-client"),
  };
  if (routing.advertiseCidrs.length > MAX_CIDRS) {
    throw usageError(
      `${routing.advertiseCidrs.length} networks are more than one host can advertise; ` +
        `give --advertise-cidr at most ${MAX_CIDRS} times, with larger networks`,
    );
  }
  if (Deno.build.os !== "linux") refuseElsewhere(routing, mode);
  if (routing.networkRouter && routing.advertiseCidrs.length === 0) {
    throw usageError("--network-router has no network; add --advertise-cidr, like 172.16.0.0/24");
  }
  if (routing.exitNode && routing.exitNodeClient) {
    throw usageError("A host cannot be an exit node and use one; leave out --exit-node-client");
  }
  if (mode === "router" && named.length === 0 && !routing.exitNode) {
    throw usageError("nexd router has nothing to route; give --advertise-cidr CIDR or --exit-node");
  }
  if (routing.exitNode) {
    routing.advertiseCidrs = [...new Set([...routing.advertiseCidrs, ...EVERYWHERE])];
  }
  return routing;
}

function refuseElsewhere(routing: Routing, mode: AgentConfig["mode"]): void {
  const wanted = [
    [mode === "relay", "nexd relay"],
    [routing.networkRouter, "--network-router"],
    [routing.exitNode, "--exit-node"],
    [routing.exitNodeClient, "--exit-node-client"],
  ].find(([asked]) => asked)?.[1];
  if (wanted !== undefined) {
    throw usageError(`${wanted} needs Linux and this is ${Deno.build.os}; use a Linux host for it`);
  }
}

/** A network in its canonical form. Throws a usage error when it is none, or has host bits. */
function canonical(text: string): string {
  const wrong = (why: string) => usageError(`--advertise-cidr ${text.slice(0, 60)} ${why}`);
  let address: ipaddr.IPv4 | ipaddr.IPv6, length: number;
  try {
    [address, length] = ipaddr.parseCIDR(text);
  } catch {
    throw wrong("is not a network; give an address and a prefix length, like 172.16.42.0/24");
  }
  const family = address.kind() === "ipv4" ? ipaddr.IPv4 : ipaddr.IPv6;
  const strict = address.kind() === "ipv6" ||
    ipaddr.IPv4.isValidFourPartDecimal(text.split("/")[0]!);
  if (!strict || text.includes("%")) {
    throw wrong("is not a network; give an address and a prefix length, like 172.16.42.0/24");
  }
  const network = family.networkAddressFromCIDR(text);
  if (network.toString() !== address.toString()) {
    throw wrong(`has host bits set; give ${network}/${length}`);
  }
  return `${network}/${length}`;
}
