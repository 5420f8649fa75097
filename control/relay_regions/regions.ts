/** The rows: who may change them, and what may be in them. */
import type { AddRelayRegion, UpdateRelayRegion } from "../api/types.ts";
import { type Actor, difference, record } from "../audit/mod.ts";
import { isOperator, type Principal } from "../auth/mod.ts";
import {
  conflict,
  fieldInvalid,
  fieldMissing,
  notAllowed,
  notFound,
  Problem,
} from "../http/mod.ts";
import type { Reader, RelayRegionRow, Store, Write } from "../store/mod.ts";
import { checkAuthority, checkHostname } from "./checks.ts";

/** Agents take no more than sixteen; some may be drained. */
const MAX_REGIONS = 64;

/** Region ids in Nexodus: of the public relay, and of one that is on-boarded in a VPC. */
const PUBLIC = 900, ONBOARDED = 901;

/** What agents know without being told, and use while the table is empty. */
export const BUILT_IN: RelayRegionRow = {
  id: "00000000-0000-4000-8000-000000000900",
  name: "NexodusDefault",
  region_id: PUBLIC,
  hostname: "relay.nexodus.io",
  port: 443,
  stun_port: 3478,
  ca: "",
  weight: 100,
  drained: 0,
  revision: 0,
  created_at: "1970-01-01T00:00:00.000Z",
  deleted_at: null,
};

/** All relays, in the order that agents have them in; the built-in one while there is none. */
export async function listRelayRegions(db: Reader): Promise<RelayRegionRow[]> {
  const rows = await live(db).orderBy("weight", "desc").orderBy("region_id").orderBy("hostname")
    .orderBy("port").execute();
  return rows.length === 0 ? [BUILT_IN] : rows;
}

/** A relay, or 404. */
export async function relayRegion(db: Reader, id: string): Promise<RelayRegionRow> {
  const row = await live(db).where("id", "=", id).executeTakeFirst();
  if (row !== undefined) return row;
  const known = id === BUILT_IN.id && (await listRelayRegions(db))[0] === BUILT_IN;
  if (!known) throw notFound("relay region");
  return BUILT_IN;
}

/** Adds a relay; 403 for who may not, 409 with the id of one of the same name or place. */
export async function addRelayRegion(
  store: Store,
  principal: Principal,
  body: AddRelayRegion,
): Promise<RelayRegionRow> {
  if (!body.hostname) throw fieldMissing("hostname");
  const hostname = checkHostname(body.hostname);
  return await store.write(async (write) => {
    await checkOperator(write.db, principal);
    return await insertRelayRegion(write, principal, {
      name: nameOf(body.name || hostname),
      region_id: body.region_id ?? await freeRegionId(write.db),
      hostname,
      port: body.port ?? 443,
      stun_port: body.stun_port ?? 3478,
      ca: checkAuthority(body.ca),
      weight: body.weight ?? 100,
      drained: body.drained ? 1 : 0,
    });
  });
}

type Fields = Omit<RelayRegionRow, "id" | "revision" | "created_at" | "deleted_at">;

/** Inserts a relay whose fields have been checked; 409 with the id of one of the same name or place. */
export async function insertRelayRegion(
  write: Write,
  by: Principal | Actor,
  fields: Fields,
): Promise<RelayRegionRow> {
  const { db } = write;
  const rows = await live(db).execute();
  if (rows.length >= MAX_REGIONS) {
    throw notAllowed(`there are ${MAX_REGIONS} relay regions already`);
  }
  refuseTwins(rows, fields);
  const row: RelayRegionRow = {
    id: crypto.randomUUID(),
    ...fields,
    revision: await write.revision("relay_regions", ""),
    created_at: new Date().toISOString(),
    deleted_at: null,
  };
  await db.insertInto("relay_regions").values(row).execute();
  recordRelay(write, by, "create", undefined, row);
  return row;
}

/** Changes a relay; absent fields stay. */
export async function updateRelayRegion(
  store: Store,
  principal: Principal,
  id: string,
  body: UpdateRelayRegion,
): Promise<RelayRegionRow> {
  return await store.write(async (write) => {
    await checkOperator(write.db, principal);
    const row = await relayRegion(write.db, id);
    if (row === BUILT_IN) throw builtIn();
    const change: Partial<Fields> = {
      ...(given(body.name) ? { name: nameOf(body.name) } : {}),
      ...(given(body.region_id) ? { region_id: body.region_id } : {}),
      ...(given(body.hostname) ? { hostname: checkHostname(body.hostname) } : {}),
      ...(given(body.port) ? { port: body.port } : {}),
      ...(given(body.stun_port) ? { stun_port: body.stun_port } : {}),
      ...(given(body.ca) ? { ca: checkAuthority(body.ca) } : {}),
      ...(given(body.weight) ? { weight: body.weight } : {}),
      ...(given(body.drained) ? { drained: body.drained ? 1 : 0 } : {}),
    };
    return await changeRelayRegion(write, principal, row, change);
  });
}

/** Writes checked fields of a relay where they are others than before. */
export async function changeRelayRegion(
  write: Write,
  by: Principal | Actor,
  row: RelayRegionRow,
  change: Partial<Fields>,
): Promise<RelayRegionRow> {
  const names = Object.keys(change) as (keyof Fields)[];
  if (names.every((name) => change[name] === row[name])) return row;
  const others = (await live(write.db).execute()).filter(({ id }) => id !== row.id);
  refuseTwins(others, { ...row, ...change });
  const changed = { ...change, revision: await write.revision("relay_regions", "") };
  await write.db.updateTable("relay_regions").set(changed).where("id", "=", row.id).execute();
  const after = { ...row, ...changed };
  recordRelay(write, by, "update", row, after);
  return after;
}

/** Deletes a relay; the row stays for a while, so that agents hear of it. */
export async function deleteRelayRegion(
  store: Store,
  principal: Principal,
  id: string,
): Promise<RelayRegionRow> {
  return await store.write(async (write) => {
    await checkOperator(write.db, principal);
    const row = await relayRegion(write.db, id);
    if (row === BUILT_IN) throw builtIn();
    const deleted = {
      deleted_at: new Date().toISOString(),
      revision: await write.revision("relay_regions", ""),
    };
    await write.db.updateTable("relay_regions").set(deleted).where("id", "=", id).execute();
    recordRelay(write, principal, "delete", row, undefined);
    return { ...row, ...deleted };
  });
}

function recordRelay(
  write: Write,
  by: Principal | Actor,
  action: "create" | "update" | "delete",
  before: RelayRegionRow | undefined,
  after: RelayRegionRow | undefined,
): void {
  const { id, name } = (after ?? before)!;
  const view = (row: RelayRegionRow) => ({ ...row, drained: row.drained !== 0 });
  record(write, by, {
    action: `relay-region.${action}`,
    organizationId: "",
    id,
    name,
    changes: difference(before && view(before), after && view(after), FIELDS),
  });
}

const FIELDS = [
  "name",
  "region_id",
  "hostname",
  "port",
  "stun_port",
  "ca",
  "weight",
  "drained",
] as const;

function live(db: Reader) {
  return db.selectFrom("relay_regions").selectAll().where("deleted_at", "is", null);
}

async function checkOperator(db: Reader, principal: Principal): Promise<void> {
  if (await isOperator(db, principal)) return;
  throw new Problem(403, { error: "only the operator of this control plane changes its relays" });
}

function builtIn(): Problem {
  return notAllowed("the built-in relay cannot be changed; add one of your own, and it goes");
}

/** Two rows for one relay would be one too many to drain. */
function refuseTwins(rows: readonly RelayRegionRow[], fields: Fields): void {
  const twin = rows.find((row) =>
    row.name === fields.name || (row.hostname === fields.hostname && row.port === fields.port)
  );
  if (twin !== undefined) throw conflict(twin.id);
}

/** The smallest number from the public relay's on that no other has. */
export async function freeRegionId(db: Reader): Promise<number> {
  const taken = new Set((await live(db).execute()).map(({ region_id }) => region_id));
  let id = PUBLIC;
  while (taken.has(id) || id === ONBOARDED) id++;
  return id;
}

function nameOf(name: string): string {
  if (/^[\p{L}\p{N}][\p{L}\p{N} ._:-]{0,63}$/u.test(name)) return name;
  throw fieldInvalid("name", "has to be 1 to 64 letters, digits, blanks and . _ : -");
}

function given<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null;
}
