/**
 * Networks that devices advertise into their VPC. Inside one VPC any two are either the same or
 * apart, so one look-up below a new network's end finds every overlap.
 */
import type { Write } from "../store/mod.ts";
import { parseCidr, toKey } from "./address.ts";

/** Why a network cannot be advertised; `reason` is a sentence for the caller. */
export class CidrRefused extends Error {
  override name = "CidrRefused";
}

/**
 * Makes `cidrs` the networks that a device advertises in a VPC, instead of all it did before.
 * Default routes are never reserved. Throws {@linkcode CidrRefused} for text that is no CIDR, and for
 * a network that overlaps the VPC's own ranges or another network without being the same.
 */
export async function advertise(
  write: Write,
  device: { id: string; vpc: { id: string; ipv4_cidr: string; ipv6_cidr: string } },
  cidrs: readonly string[],
): Promise<void> {
  await withdraw(write, device.id);
  for (const text of cidrs) {
    const range = parseCidr(text);
    if (!range) throw new CidrRefused(`${text} is not a network like 192.0.2.0/24`);
    if (range.prefix === 0) continue;
    const first = toKey(range.family, range.first);
    const last = toKey(range.family, range.last);
    const own = parseCidr(range.family === 4 ? device.vpc.ipv4_cidr : device.vpc.ipv6_cidr);
    if (own && range.first <= own.last && range.last >= own.first) {
      throw new CidrRefused(`${text} overlaps the addresses of the VPC itself`);
    }
    const nearest = await write.db.selectFrom("advertised_cidrs").select(["first", "last"])
      .where("vpc_id", "=", device.vpc.id).where("family", "=", range.family)
      .where("first", "<=", last).orderBy("first", "desc").limit(1).executeTakeFirst();
    const same = nearest?.first === first && nearest.last === last;
    if (nearest && nearest.last >= first && !same) {
      throw new CidrRefused(`${text} overlaps another network that is advertised in the VPC`);
    }
    await write.db.insertInto("advertised_cidrs")
      .values({ vpc_id: device.vpc.id, family: range.family, first, last, device_id: device.id })
      .onConflict((conflict) => conflict.doNothing()).execute();
  }
}

/** Gives back every network that a device advertises. */
export async function withdraw(write: Write, deviceId: string): Promise<void> {
  await write.db.deleteFrom("advertised_cidrs").where("device_id", "=", deviceId).execute();
}
