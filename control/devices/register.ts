import type { AddDevice } from "../api/types.ts";
import { deviceToken, hashToken, isPublicKey, type Principal } from "../auth/mod.ts";
import { conflict, fieldInvalid, fieldMissing, notFound, Problem } from "../http/mod.ts";
import { parseAddress, takeAddress } from "../ipam/mod.ts";
import {
  type DeviceRow,
  findSecurityGroup,
  findVpc,
  type RegKeyRow,
  type Store,
  together,
  type VpcRow,
  type Write,
} from "../store/mod.ts";
import { recordDevice } from "./deed.ts";
import { refusals, setAdvertised } from "./refusals.ts";

/** What the device service needs. */
export interface DeviceDeps {
  store: Store;
  /** The server's secret, from which device tokens are derived. */
  secret: Uint8Array;
}

/** A device that was made, and what its maker should be told about it. */
export interface Registered {
  device: DeviceRow;
  /** A sentence, when the device did not get all that it asked for. */
  notice?: string;
}

/**
 * Makes a device. Everything happens in one transaction: a refusal takes no address. The checks come
 * in the order that agents rely on; a key that is registered already is a 409 with its device's id.
 */
export async function registerDevice(
  deps: DeviceDeps,
  principal: Principal,
  body: AddDevice,
): Promise<Registered> {
  if (body.public_key === "") throw fieldMissing("public_key");
  return await refusals(() =>
    deps.store.write(async (write) => {
      const [vpc, known, key] = await together(
        findVpc(write.db, body.vpc_id, principal.ownerId),
        deviceWithKey(write, body.public_key),
        regKeyOf(write, principal),
      );
      if (!vpc) throw notFound("vpc");
      if (!isPublicKey(body.public_key)) throw fieldInvalid("public_key");
      // The id of somebody else's device is nothing that the caller could go on with.
      if (known) throw conflict(known.owner_id === principal.ownerId ? known.id : undefined);
      const regKey = await useRegKey(write, key, vpc.id);
      const group = body.security_group_id ?? regKey?.security_group_id ?? vpc.id;
      const [, ipv4, ipv6, revision] = await together(
        refuseUnknownGroup(write, vpc.id, group),
        takeRequested(write, vpc, body),
        takeAddress(write, vpc, 6),
        write.revision("devices", vpc.id),
      );
      const id = regKey?.device_id ?? crypto.randomUUID();
      const device: DeviceRow = {
        id,
        owner_id: principal.ownerId,
        vpc_id: vpc.id,
        reg_key_id: regKey?.id ?? null,
        public_key: body.public_key,
        token_hash: hashToken(deviceToken(deps.secret, id, 1)),
        token_generation: 1,
        ipv4_address: ipv4.address,
        ipv4_cidr: ipv4.cidr,
        ipv6_address: ipv6.address,
        ipv6_cidr: ipv6.cidr,
        advertise_cidrs_json: body.advertise_cidrs ? JSON.stringify(body.advertise_cidrs) : null,
        relay: body.relay ? 1 : 0,
        symmetric_nat: body.symmetric_nat ? 1 : 0,
        hostname: body.hostname ?? "",
        os: body.os ?? "",
        endpoints_json: body.endpoints ? JSON.stringify(body.endpoints) : null,
        security_group_id: group,
        online: 0,
        online_at: null,
        revision,
        created_at: new Date().toISOString(),
        deleted_at: null,
      };
      await write.db.insertInto("devices").values(device).execute();
      recordDevice(write, principal, "create", { vpc, after: device });
      if (body.advertise_cidrs?.length) await setAdvertised(write, id, vpc, body.advertise_cidrs);
      return {
        device,
        ...(ipv4.granted ? {} : {
          notice: `requested address ${requestedAddress(body)} is taken or outside ${ipv4.cidr}, ` +
            `${ipv4.address} was given instead`,
        }),
      };
    })
  );
}

async function deviceWithKey(write: Write, key: string) {
  return await write.db.selectFrom("devices").select(["id", "owner_id"])
    .where("public_key", "=", key).where("deleted_at", "is", null).executeTakeFirst();
}

/** The registration key again, inside the transaction; undefined for other callers. */
async function regKeyOf(write: Write, principal: Principal): Promise<RegKeyRow | undefined> {
  if (principal.kind !== "reg-key") return undefined;
  const key = await write.db.selectFrom("reg_keys").selectAll()
    .where("id", "=", principal.regKey.id).where("deleted_at", "is", null).executeTakeFirst();
  if (!key) throw new Problem(401, { error: "invalid reg key" });
  return key;
}

/** Checks the key, and marks a single-use one as used for good. */
async function useRegKey(
  write: Write,
  key: RegKeyRow | undefined,
  vpcId: string,
): Promise<RegKeyRow | undefined> {
  if (key === undefined) return undefined;
  if (key.device_id !== null && key.used_at !== null) {
    throw new Problem(400, { error: "single use reg key exhausted" });
  }
  if (key.vpc_id !== null && key.vpc_id !== vpcId) {
    throw new Problem(400, { error: "does not match the reg key vpc_id", field: "vpc_id" });
  }
  if (key.device_id !== null) {
    await write.db.updateTable("reg_keys").set({ used_at: new Date().toISOString() })
      .where("id", "=", key.id).execute();
  }
  return key;
}

async function refuseUnknownGroup(write: Write, vpcId: string, group: string): Promise<void> {
  if (!await findSecurityGroup(write.db, group, vpcId)) throw notFound("security_group_id");
}

async function takeRequested(write: Write, vpc: VpcRow, body: AddDevice) {
  return await takeAddress(write, vpc, 4, requestedAddress(body));
}

function requestedAddress(body: AddDevice): string | undefined {
  const requests = body.ipv4_tunnel_ips ?? [];
  if (requests.length > 1) {
    const error = "can only specify a single IPv4 address request";
    throw new Problem(400, { error, field: "tunnel_ips_v4" });
  }
  const address = requests[0]?.address;
  if (address === undefined || address === "") return undefined;
  if (parseAddress(address)?.family !== 4) {
    throw fieldInvalid("ipv4_tunnel_ips", `${address.slice(0, 64)} is not an IPv4 address`);
  }
  return address;
}
