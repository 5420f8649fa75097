/**
 * Service networks: kept for the administration tool, which makes and names them. There are no sites
 * to meet in them.
 *
 * @module
 */
import type { SelectQueryBuilder } from "kysely";
import type { ServiceNetwork } from "../api/types.ts";
import { difference, record } from "../audit/mod.ts";
import type { Principal } from "../auth/mod.ts";
import { fieldMissing, notFound } from "../http/mod.ts";
import { organizationsQuery, owns } from "../organizations/mod.ts";
import type { Reader, ServiceNetworkRow, Store, Tables, Write } from "../store/mod.ts";

/** The networks of the organizations that a caller sees. */
export function serviceNetworksQuery(
  db: Reader,
  principal: Principal,
): SelectQueryBuilder<Tables, "service_networks", ServiceNetworkRow> {
  const visible = organizationsQuery(db, principal).clearSelect().select("organizations.id");
  return db.selectFrom("service_networks").selectAll("service_networks")
    .where("service_networks.organization_id", "in", visible);
}

/** A network that the caller sees, or 404. */
export async function visibleServiceNetwork(
  db: Reader,
  principal: Principal,
  id: string,
): Promise<ServiceNetworkRow> {
  const row = await serviceNetworksQuery(db, principal).where("service_networks.id", "=", id)
    .executeTakeFirst();
  if (!row) throw notFound("service network");
  return row;
}

/** A network as the API shows it. */
export function toServiceNetwork(row: ServiceNetworkRow): ServiceNetwork {
  const { id, organization_id, description, revision } = row;
  return { id, organization_id, description, revision };
}

/** Makes a network in an organization that the caller is a member of, else 404. */
export async function addServiceNetwork(
  store: Store,
  principal: Principal,
  body: { organization_id?: string | null | undefined; description?: string | null | undefined },
): Promise<ServiceNetworkRow> {
  const { organization_id } = body;
  if (!organization_id) throw fieldMissing("organization_id");
  return await store.write(async (write) => {
    const { db } = write;
    const organization = await organizationsQuery(db, principal)
      .where("organizations.id", "=", organization_id).executeTakeFirst();
    if (!organization) throw notFound("organization");
    const row: ServiceNetworkRow = {
      id: crypto.randomUUID(),
      organization_id,
      description: body.description ?? "",
      revision: 1,
      created_at: new Date().toISOString(),
    };
    await db.insertInto("service_networks").values(row).execute();
    recordNetwork(write, principal, "create", undefined, row);
    return row;
  });
}

/** Changes the description of a network in an organization that the caller owns, else 404. */
export async function updateServiceNetwork(
  store: Store,
  principal: Principal,
  id: string,
  body: { description?: string | null | undefined },
): Promise<ServiceNetworkRow> {
  return await store.write(async (write) => {
    const { db } = write;
    const row = await ownedServiceNetwork(db, principal, id);
    const description = body.description ?? row.description;
    const after = { ...row, description, revision: row.revision + 1 };
    await db.updateTable("service_networks").set(after).where("id", "=", id).execute();
    recordNetwork(write, principal, "update", row, after);
    return after;
  });
}

/** Deletes a network of an organization that the caller owns, else 404. */
export async function deleteServiceNetwork(
  store: Store,
  principal: Principal,
  id: string,
): Promise<ServiceNetworkRow> {
  return await store.write(async (write) => {
    const { db } = write;
    const row = await ownedServiceNetwork(db, principal, id);
    await db.deleteFrom("service_networks").where("id", "=", id).execute();
    recordNetwork(write, principal, "delete", row, undefined);
    return row;
  });
}

async function ownedServiceNetwork(
  db: Reader,
  principal: Principal,
  id: string,
): Promise<ServiceNetworkRow> {
  const row = await visibleServiceNetwork(db, principal, id);
  if (!await owns(db, principal.ownerId, row.organization_id)) throw notFound("service network");
  return row;
}

function recordNetwork(
  write: Write,
  principal: Principal,
  action: "create" | "update" | "delete",
  before: ServiceNetworkRow | undefined,
  after: ServiceNetworkRow | undefined,
): void {
  const { id, description: name, organization_id: organizationId } = (after ?? before)!;
  const changes = difference(before, after, ["description"]);
  record(write, principal, {
    action: `service-network.${action}`,
    organizationId,
    id,
    name,
    changes,
  });
}
