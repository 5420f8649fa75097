import type { AddDevice } from "../api/types.ts";
import { deviceToken, hashToken, isPublicKey, type Principal } from "../auth/mod.ts";
import { conflict, fieldInvalid, fieldMissing, notFound, Problem } from "../http/mod.ts";
import { parseAddress, takeAddress } from "../ipam/mod.ts";
import {
  type DeviceRow,
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
      const { vpc, known, key, group } = await lookUp(write, principal, body);
      if (!vpc) throw notFound("vpc");
      if (!isPublicKey(body.public_key)) throw fieldInvalid("public_key");
      // The id of somebody else's device is nothing that the caller could go on with.
      if (known) throw conflict(known.owner_id === principal.ownerId ? known.id : undefined);
      const regKey = await useRegKey(write, key, vpc.id);
      if (group === undefined) throw notFound("security_group_id");
      const [ipv4, ipv6, revision] = await together(
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

/** What a registration key says inside the transaction. */
type UsedKey = Pick<RegKeyRow, "id" | "vpc_id" | "device_id" | "used_at">;

/**
 * All that is looked up before a device is made, in one statement; undefined is what there is not, or
 * not for the caller. `key` is the registration key again, which may have been used or deleted since
 * the caller was let in; `group` the one that the device gets.
 */
async function lookUp(write: Write, principal: Principal, body: AddDevice) {
  const keyId = principal.kind === "reg-key" ? principal.regKey.id : null;
  // A row of nothing, so that there is an answer whichever of them is missing.
  const asked = write.db.selectNoFrom((eb) => eb.lit(1).as("one")).as("asked");
  const row = await write.db.selectFrom(asked)
    .leftJoin(
      (eb) =>
        eb.selectFrom("vpcs")
          .innerJoin("memberships", "memberships.organization_id", "vpcs.organization_id")
          .selectAll("vpcs").where("vpcs.id", "=", body.vpc_id)
          .where("memberships.user_id", "=", principal.ownerId)
          .where("vpcs.deleted_at", "is", null).as("vpc"),
      (join) => join.onTrue(),
    )
    .leftJoin(
      "devices as known",
      (join) =>
        join.on("known.public_key", "=", body.public_key).on("known.deleted_at", "is", null),
    )
    .leftJoin(
      "reg_keys as key",
      (join) => join.on("key.id", "=", keyId).on("key.deleted_at", "is", null),
    )
    .leftJoin(
      "security_groups as group",
      (join) =>
        join.onRef("group.vpc_id", "=", "vpc.id").on("group.deleted_at", "is", null).on((eb) =>
          eb(
            "group.id",
            "=",
            eb.fn.coalesce(
              eb.val(body.security_group_id ?? null),
              "key.security_group_id",
              "vpc.id",
            ),
          )
        ),
    )
    .selectAll("vpc")
    .select([
      "known.id as known_id",
      "known.owner_id as known_owner_id",
      "key.id as key_id",
      "key.vpc_id as key_vpc_id",
      "key.device_id as key_device_id",
      "key.used_at as key_used_at",
      "group.id as group_id",
    ]).executeTakeFirstOrThrow();
  const { known_id, known_owner_id, key_id, key_vpc_id, key_device_id, key_used_at, group_id } =
    row;
  if (keyId !== null && key_id === null) throw new Problem(401, { error: "invalid reg key" });
  const key: UsedKey | undefined = key_id === null
    ? undefined
    : { id: key_id, vpc_id: key_vpc_id, device_id: key_device_id, used_at: key_used_at };
  return {
    vpc: row.id === null ? undefined : row as VpcRow,
    known: known_id === null ? undefined : { id: known_id, owner_id: known_owner_id },
    key,
    group: group_id ?? undefined,
  };
}

/** Checks the key, and marks a single-use one as used for good. */
async function useRegKey(
  write: Write,
  key: UsedKey | undefined,
  vpcId: string,
): Promise<UsedKey | undefined> {
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
