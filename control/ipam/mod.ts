/**
 * Addresses of devices: which are free, who has them, and the networks that devices advertise.
 *
 * All VPCs without own ranges share one namespace, so that an address of the default ranges is
 * unique in the whole service; a VPC with `private_cidr` has a namespace of its own.
 *
 * @module
 */
import type { VpcRow, Write } from "../store/mod.ts";
import { type Family, formatAddress, parseAddress, parseCidr, usable } from "./address.ts";
import { createPool, dropPool, giveBack, type Pool, takeLowest, takeThis } from "./pool.ts";

export { advertise, CidrRefused, withdraw } from "./cidrs.ts";
export { parseAddress, parseCidr } from "./address.ts";

/** Ranges of every VPC that does not bring its own. */
export const DEFAULT_IPV4_CIDR = "100.64.0.0/10";
export const DEFAULT_IPV6_CIDR = "200::/64";

/** The namespace of the default ranges. */
const SHARED_NAMESPACE = "00000000-0000-0000-0000-000000000000";

/** A range has no free address left. */
export class PoolExhausted extends Error {
  override name = "PoolExhausted";
  constructor(cidr: string) {
    super(`no free address is left in ${cidr}`);
  }
}

type VpcRanges = Pick<VpcRow, "id" | "private_cidr" | "ipv4_cidr" | "ipv6_cidr">;

/** The namespace whose addresses a VPC uses. */
export function namespaceOf(vpc: VpcRanges): string {
  return vpc.private_cidr ? vpc.id : SHARED_NAMESPACE;
}

/** Makes the pools of a VPC; throws a RangeError for a range that is no CIDR of its family. */
export async function createPools(write: Write, vpc: VpcRanges): Promise<void> {
  for (const family of [4, 6] as const) {
    const cidr = parseCidr(cidrOf(vpc, family));
    if (cidr?.family !== family) {
      throw new RangeError(`${cidrOf(vpc, family)} is not an IPv${family} network`);
    }
    await createPool(write, poolOf(vpc, family), usable(cidr));
  }
}

/** Takes the pools of a VPC's own ranges away; those of the shared ranges stay. */
export async function dropPools(write: Write, vpc: VpcRanges): Promise<void> {
  if (!vpc.private_cidr) return;
  for (const family of [4, 6] as const) await dropPool(write, poolOf(vpc, family));
}

/**
 * Takes the lowest free address of a VPC, or `requested` where that is free. A requested address that
 * is taken or outside falls back to the lowest, as agents expect; `granted` then is false.
 * Throws {@linkcode PoolExhausted}.
 */
export async function takeAddress(
  write: Write,
  vpc: VpcRanges,
  family: Family,
  requested?: string,
): Promise<{ address: string; cidr: string; granted: boolean }> {
  const pool = poolOf(vpc, family);
  const cidr = cidrOf(vpc, family);
  const wanted = requested === undefined ? undefined : parseAddress(requested);
  if (wanted?.family === family && await takeThis(write, pool, wanted.value)) {
    return { address: formatAddress(family, wanted.value), cidr, granted: true };
  }
  const lowest = await takeLowest(write, pool);
  if (lowest === undefined) throw new PoolExhausted(cidr);
  return { address: formatAddress(family, lowest), cidr, granted: requested === undefined };
}

/** Gives back an address that {@linkcode takeAddress} gave out. */
export async function releaseAddress(write: Write, vpc: VpcRanges, address: string): Promise<void> {
  const parsed = parseAddress(address);
  if (!parsed) throw new RangeError(`${address} is not an IP address`);
  await giveBack(write, poolOf(vpc, parsed.family), parsed.value);
}

function poolOf(vpc: VpcRanges, family: Family): Pool {
  return { namespace: namespaceOf(vpc), family };
}

function cidrOf(vpc: VpcRanges, family: Family): string {
  return family === 4 ? vpc.ipv4_cidr : vpc.ipv6_cidr;
}
