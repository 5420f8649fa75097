/**
 * The checks of what a device is opened with, before anything on the host is touched.
 *
 * @module
 */
import { AgentError, reasonOf, usageError } from "../errors.ts";
import type { Network } from "./backend.ts";
import {
  parseAllowedIp,
  parseInterfaceAddress,
  type Prefix,
  PrefixError,
  within,
} from "./prefixes.ts";
import type { DeviceConfig } from "./types.ts";

/** Refuses what Linux or `ip` would take for something else. Throws a usage error. */
export function checkInterfaceName(name: string): void {
  if (
    !/^[A-Za-z0-9_=+.][A-Za-z0-9_=+.-]{0,14}$/.test(name) ||
    [".", "..", "lo", "all", "default"].includes(name)
  ) {
    throw usageError(
      `Cannot use ${JSON.stringify(name.slice(0, 40))} as an interface name: choose 1 to 15 of ` +
        `letters, digits and _=+.- with --interface`,
    );
  }
}

/** Checks all of it and returns the addresses in one spelling. Throws `AgentError`. */
export function checkConfig(config: DeviceConfig): Prefix[] {
  checkInterfaceName(config.name);
  if (config.privateKey.length !== 32) throw new AgentError("A private key has 32 bytes");
  const { listenPort, mtu, mark = 0 } = config;
  if (!Number.isInteger(listenPort) || listenPort < 0 || listenPort > 65535) {
    throw new AgentError(`Cannot listen on UDP port ${listenPort}: choose 0 to 65535`);
  }
  if (!Number.isInteger(mtu) || mtu < 576 || mtu > 65535) {
    throw new AgentError(`Cannot set MTU ${mtu}: choose 576 to 65535`);
  }
  if (!Number.isInteger(mark) || mark < 0 || mark > 0xffffffff) {
    throw new AgentError(`Cannot set firewall mark ${mark}: choose 0 to 4294967295`);
  }
  return config.addresses.map((address) => {
    try {
      return parseInterfaceAddress(address);
    } catch (error) {
      if (!(error instanceof PrefixError)) throw error;
      throw new AgentError(
        `Cannot give ${config.name} the address ${reasonOf(address, 64)}: ${error.message}`,
      );
    }
  });
}

/** The VPC's range is one of the host's own networks: the interface is not made, all else can go on. */
export class RangeConflict extends AgentError {
  override name = "RangeConflict";
}

/**
 * Throws {@linkcode RangeConflict} when a range of the VPC, or an address of the tunnel, and a
 * network that the host is in overlap.
 */
export function checkRanges(config: DeviceConfig, networks: readonly Network[]): void {
  const ranges = [...config.ranges ?? [], ...config.addresses.map((a) => a.replace(/\/.*/s, ""))];
  for (const text of ranges) {
    let range: string;
    try {
      range = parseAllowedIp(text).cidr;
    } catch (error) {
      if (error instanceof PrefixError) continue;
      throw error;
    }
    for (const { cidr, interfaceName } of networks) {
      if (!within(range, cidr) && !within(cidr, range)) continue;
      throw new RangeConflict(
        `Cannot create interface ${config.name}: ${range} of the VPC and ${cidr} of this host's ` +
          `${interfaceName} overlap; use a VPC with another range, or renumber the host's network`,
      );
    }
  }
}

/** The error of a UDP port that another program has. */
export function portTaken(port: number): AgentError {
  return new AgentError(
    `Cannot listen on UDP port ${port}: port in use; stop the other program or choose another ` +
      `--listen-port`,
  );
}
