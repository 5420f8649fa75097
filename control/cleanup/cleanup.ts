import { getLogger } from "@logtape/logtape";
import { type AuditLimits, DEFAULT_AUDIT_LIMITS, trimAuditLog } from "../audit/mod.ts";
import type { Reader, Store } from "../store/mod.ts";

const log = getLogger(["nexd", "control", "cleanup"]);

/** How long deleted rows stay, ms: a watcher that was away for longer begins anew anyway. */
const RETENTION = 30 * 24 * 3600 * 1000;
/** How often the ones beyond that are looked for, ms. */
const EVERY = 6 * 3600 * 1000;
/** Devices taken at a time: everybody else waits for the transaction. */
const BATCH = 500;

/**
 * Removes what was deleted before a time for good. Rows that something else still refers to stay until
 * that is gone as well. Returns how many rows went.
 */
export async function cleanUp(store: Store, before: Date): Promise<number> {
  const time = before.toISOString();
  let count = 0;
  for (;;) {
    const done = await store.write(({ db }) => devices(db, time));
    count += done;
    if (done < BATCH) break;
  }
  return count + await store.write(({ db }) => others(db, time));
}

async function devices(db: Reader, time: string): Promise<number> {
  const rows = await db.selectFrom("devices").select("id").where("deleted_at", "<", time)
    .limit(BATCH).execute();
  const ids = rows.map(({ id }) => id);
  if (ids.length === 0) return 0;
  const below = [
    "device_metadata",
    "device_departures",
    "advertised_cidrs",
    "device_streams",
    "device_paths",
  ] as const;
  for (const table of below) {
    await db.deleteFrom(table).where("device_id", "in", ids).execute();
  }
  await db.deleteFrom("devices").where("id", "in", ids).execute();
  return ids.length;
}

async function others(db: Reader, time: string): Promise<number> {
  const results = [
    await db.deleteFrom("device_metadata").where("deleted_at", "<", time).executeTakeFirst(),
    await db.deleteFrom("invitations").where("expires_at", "<", time).executeTakeFirst(),
    await db.deleteFrom("reg_keys").where("deleted_at", "<", time)
      .where((eb) =>
        eb.not(eb.exists(
          eb.selectFrom("devices").select("devices.id")
            .whereRef("devices.reg_key_id", "=", "reg_keys.id"),
        ))
      ).executeTakeFirst(),
    await db.deleteFrom("security_groups").where("deleted_at", "<", time)
      .where((eb) =>
        eb.not(eb.or([
          eb.exists(
            eb.selectFrom("devices").select("devices.id")
              .whereRef("devices.security_group_id", "=", "security_groups.id"),
          ),
          eb.exists(
            eb.selectFrom("reg_keys").select("reg_keys.id")
              .whereRef("reg_keys.security_group_id", "=", "security_groups.id"),
          ),
        ]))
      ).executeTakeFirst(),
    await vpcs(db, time),
    await db.deleteFrom("organizations").where("deleted_at", "<", time)
      .where((eb) =>
        eb.not(eb.exists(
          eb.selectFrom("vpcs").select("vpcs.id")
            .whereRef("vpcs.organization_id", "=", "organizations.id"),
        ))
      ).executeTakeFirst(),
    await db.deleteFrom("users").where("deleted_at", "<", time)
      .where((eb) =>
        eb.not(eb.or([
          eb.exists(
            eb.selectFrom("devices").select("devices.id")
              .whereRef("devices.owner_id", "=", "users.id"),
          ),
          eb.exists(
            eb.selectFrom("reg_keys").select("reg_keys.id")
              .whereRef("reg_keys.owner_id", "=", "users.id"),
          ),
        ]))
      ).executeTakeFirst(),
  ];
  return results.reduce((sum, { numDeletedRows }) => sum + Number(numDeletedRows), 0);
}

async function vpcs(db: Reader, time: string): Promise<{ numDeletedRows: bigint }> {
  const old = await db.selectFrom("vpcs").select("id").where("deleted_at", "<", time).execute();
  const ids = old.map(({ id }) => id);
  if (ids.length === 0) return { numDeletedRows: 0n };
  // Of devices that have moved on to another VPC.
  await db.deleteFrom("device_departures").where("vpc_id", "in", ids).execute();
  return await db.deleteFrom("vpcs").where("id", "in", ids)
    .where((eb) =>
      eb.not(eb.or([
        eb.exists(
          eb.selectFrom("devices").select("devices.id").whereRef("devices.vpc_id", "=", "vpcs.id"),
        ),
        eb.exists(
          eb.selectFrom("device_metadata").select("device_metadata.key")
            .whereRef("device_metadata.vpc_id", "=", "vpcs.id"),
        ),
        eb.exists(
          eb.selectFrom("security_groups").select("security_groups.id")
            .whereRef("security_groups.vpc_id", "=", "vpcs.id"),
        ),
        eb.exists(
          eb.selectFrom("reg_keys").select("reg_keys.id")
            .whereRef("reg_keys.vpc_id", "=", "vpcs.id"),
        ),
      ]))
    ).executeTakeFirst();
}

/** Cleans up now and then, until it is stopped. Returns how to stop it. */
export function keepClean(store: Store, audit: AuditLimits = DEFAULT_AUDIT_LIMITS): () => void {
  const timer = setInterval(() => {
    cleanUp(store, new Date(Date.now() - RETENTION)).then(
      (count) => {
        if (count > 0) log.info("removed {count} rows that were deleted long ago", { count });
      },
      (error) => log.warn("cannot remove what was deleted long ago: {error}", { error }),
    );
    trimAuditLog(store, audit).then(
      (count) => {
        if (count > 0) log.info("removed {count} old rows of the audit log", { count });
      },
      (error) => log.warn("cannot remove old rows of the audit log: {error}", { error }),
    );
  }, EVERY);
  return () => clearInterval(timer);
}
