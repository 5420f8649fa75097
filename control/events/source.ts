/** Rows of one kind in one VPC, in the order of their revisions. */
import type { Device, WatchKind } from "../api/types.ts";
import {
  EVERY_ORGANIZATION,
  type MetadataFilter,
  metadataQuery,
  type Reader,
  type RevisionName,
  toAuditEntry,
  toDevice,
  toMetadata,
  toRelayRegion,
  toSecurityGroup,
  toVpc,
} from "../store/mod.ts";

/** Kinds of rows with revisions; of paths there is only the notice that they are other ones. */
export type RowKind = Exclude<WatchKind, "paths">;

/** What a watch follows; two watches with the same topic can share what is read. */
export interface Topic<Kind extends WatchKind = WatchKind> {
  kind: Kind;
  /** Of the audit log: the organization's id, or `EVERY_ORGANIZATION`. */
  vpcId: string;
  /** Of metadata only: narrows the rows. It always comes on top of the VPC, never in its place. */
  filter?: Omit<MetadataFilter, "vpcId">;
}

/** A row at its latest revision. `value` is the same for every caller: nothing in it is secret. */
export interface Entry {
  id: string;
  revision: number;
  deleted: boolean;
  value: object;
  /** The event that tells of it, once somebody has written it. */
  text?: string;
}

/** Some rows in ascending revision. */
export interface Page {
  entries: Entry[];
  /** Whether there may be others after them. */
  more: boolean;
  /** Without `more`: no row up to this revision is missing. */
  upTo: number;
  /** The events of all entries, once somebody has written them. */
  bytes?: Uint8Array;
}

/** Rows read at a time. */
export const PAGE_SIZE = 100;

/** The revision counter of each kind. */
export const REVISIONS: Readonly<Record<RowKind, RevisionName>> = {
  "device": "devices",
  "device-metadata": "device_metadata",
  "security-group": "security_groups",
  "vpc": "vpcs",
  "relay-region": "relay_regions",
  "audit-log": "audit_log",
};

/** Whether there are rows to read of a topic. */
export function hasRows(topic: Topic): topic is Topic<RowKind> {
  return topic.kind !== "paths";
}

/** A page of a topic without rows: a notice, if there was a change since the one numbered `after`. */
export function noticePage({ vpcId }: Topic, changes: number, after: number): Page {
  const notice = { id: vpcId, revision: changes, deleted: false, value: { vpc_id: vpcId } };
  return { entries: changes > after ? [notice] : [], more: false, upTo: changes };
}

/**
 * The rows with a revision above `after`. Rows deleted at or before revision `deletesAfter` are left
 * out: a watch that starts has not sent them, and need not read years of them.
 */
export async function readPage(
  db: Reader,
  topic: Topic<RowKind>,
  range: { after: number; deletesAfter: number; limit?: number },
): Promise<Page> {
  const limit = range.limit ?? PAGE_SIZE;
  // Read first. Rows that change in between have higher revisions: they are left for the next time,
  // as what one query still saw could be newer than what another no longer did.
  const { value: upTo } = await db.selectFrom("revisions").select("value")
    .where("name", "=", REVISIONS[topic.kind]).executeTakeFirstOrThrow();
  const entries = await READERS[topic.kind](db, topic, { ...range, upTo, limit });
  return { entries: entries.slice(0, limit), more: entries.length >= limit, upTo };
}

interface Range {
  after: number;
  upTo: number;
  deletesAfter: number;
  limit: number;
}

type PageReader = (db: Reader, topic: Topic, range: Range) => Promise<Entry[]>;

const READERS: Record<RowKind, PageReader> = {
  "device": async (db, { vpcId }, { after, upTo, deletesAfter, limit }) => {
    const rows = await db.selectFrom("devices").selectAll().where("vpc_id", "=", vpcId)
      .where("revision", ">", after)
      .where("revision", "<=", upTo)
      .where((eb) => eb.or([eb("deleted_at", "is", null), eb("revision", ">", deletesAfter)]))
      .orderBy("revision").limit(limit).execute();
    const left = await db.selectFrom("device_departures").selectAll().where("vpc_id", "=", vpcId)
      .where("revision", ">", Math.max(after, deletesAfter)).where("revision", "<=", upTo)
      .orderBy("revision").limit(limit).execute();
    const entries = rows.map((row) => entry(row.id, row, toDevice(row)));
    for (const row of left) {
      const value = JSON.parse(row.device_json) as Device;
      entries.push({ id: row.device_id, revision: row.revision, deleted: true, value });
    }
    return entries.sort((a, b) => a.revision - b.revision);
  },
  "device-metadata": async (db, { vpcId, filter }, { after, upTo, deletesAfter, limit }) => {
    const rows = await metadataQuery(db, { ...filter, vpcId }).where("revision", ">", after)
      .where("revision", "<=", upTo)
      .where((eb) => eb.or([eb("deleted_at", "is", null), eb("revision", ">", deletesAfter)]))
      .orderBy("revision").limit(limit).execute();
    return rows.map((row) => entry(`${row.device_id}/${row.key}`, row, toMetadata(row)));
  },
  "security-group": async (db, { vpcId }, { after, upTo, deletesAfter, limit }) => {
    const rows = await db.selectFrom("security_groups").selectAll().where("vpc_id", "=", vpcId)
      .where("revision", ">", after)
      .where("revision", "<=", upTo)
      .where((eb) => eb.or([eb("deleted_at", "is", null), eb("revision", ">", deletesAfter)]))
      .orderBy("revision").limit(limit).execute();
    return rows.map((row) => entry(row.id, row, toSecurityGroup(row)));
  },
  "vpc": async (db, { vpcId }, { after, upTo, deletesAfter, limit }) => {
    const rows = await db.selectFrom("vpcs").selectAll().where("id", "=", vpcId)
      .where("revision", ">", after)
      .where("revision", "<=", upTo)
      .where((eb) => eb.or([eb("deleted_at", "is", null), eb("revision", ">", deletesAfter)]))
      .orderBy("revision").limit(limit).execute();
    return rows.map((row) => entry(row.id, row, toVpc(row)));
  },
  // The same for all VPCs.
  "relay-region": async (db, _topic, { after, deletesAfter, limit }) => {
    const rows = await db.selectFrom("relay_regions").selectAll().where("revision", ">", after)
      .where((eb) => eb.or([eb("deleted_at", "is", null), eb("revision", ">", deletesAfter)]))
      .orderBy("revision").limit(limit).execute();
    return rows.map((row) => entry(row.id, row, toRelayRegion(row)));
  },
  // Rows never change, and those that were cleaned away are no news.
  "audit-log": async (db, { vpcId }, { after, upTo, limit }) => {
    let query = db.selectFrom("audit_log").selectAll().where("id", ">", after)
      .where("id", "<=", upTo);
    if (vpcId !== EVERY_ORGANIZATION) query = query.where("organization_id", "=", vpcId);
    const rows = await query.orderBy("id").limit(limit).execute();
    return rows.map((row) => ({
      id: String(row.id),
      revision: row.id,
      deleted: false,
      value: toAuditEntry(row),
    }));
  },
};

function entry(
  id: string,
  row: { revision: number; deleted_at: string | null },
  value: object,
): Entry {
  return { id, revision: row.revision, deleted: row.deleted_at !== null, value };
}
