/** What the audit log tells of devices. */
import { type Actor, difference, record } from "../audit/mod.ts";
import type { Principal } from "../auth/mod.ts";
import { type DeviceRow, vpcById, type VpcRow, type Write } from "../store/mod.ts";

/** Fields that the log tells of. Keys and tokens are none of them. */
const FIELDS = [
  "hostname",
  "vpc_id",
  "security_group_id",
  "ipv4_address",
  "ipv6_address",
  "advertise_cidrs",
  "relay",
] as const;

/** Records that a device was made, changed or deleted. */
export function recordDevice(
  write: Write,
  by: Principal | Actor,
  action: "create" | "update" | "delete" | "rotate-token",
  device: { vpc: VpcRow; before?: DeviceRow; after?: DeviceRow },
): void {
  const { vpc, before, after } = device;
  const { id, hostname } = (after ?? before)!;
  record(write, by, {
    action: `device.${action}`,
    organizationId: vpc.organization_id,
    id,
    name: hostname,
    changes: difference(before && view(before), after && view(after), FIELDS),
  });
}

/**
 * Records a change of a device, unless all of it is what the host measures: its endpoints and what NAT
 * it is behind, which agents send whenever the network moves. A device that went from an organization
 * to another is in the log of both.
 */
export async function recordUpdate(
  write: Write,
  principal: Principal,
  before: DeviceRow,
  after: DeviceRow,
): Promise<void> {
  const [old, now] = [view(before), view(after)];
  if (FIELDS.every((field) => old[field] === now[field])) return;
  const vpc = await vpcById(write.db, after.vpc_id);
  recordDevice(write, principal, "update", { vpc, before, after });
  if (before.vpc_id === after.vpc_id) return;
  const from = await vpcById(write.db, before.vpc_id);
  if (from.organization_id === vpc.organization_id) return;
  recordDevice(write, principal, "update", { vpc: from, before, after });
}

function view(row: DeviceRow): Record<typeof FIELDS[number], string | boolean | null> {
  const { advertise_cidrs_json, relay, ...rest } = row;
  return { ...rest, advertise_cidrs: advertise_cidrs_json, relay: relay !== 0 };
}
