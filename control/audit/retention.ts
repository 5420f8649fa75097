import type { Store } from "../store/mod.ts";

/** How much of the log is kept, of each organization and of what belongs to none. */
export interface AuditLimits {
  /** Days that a row stays; 0: as long as there is room. */
  days: number;
  /** Rows of what was done, the newest. */
  rows: number;
  /** Rows of what was refused, on top: strangers make them, and push nothing else out. */
  refused: number;
}

/** A year of what people do, and a day or two of a fleet that is set up anew again and again. */
export const DEFAULT_AUDIT_LIMITS: AuditLimits = { days: 365, rows: 100_000, refused: 10_000 };

/** Rows taken at a time: everybody else waits for the transaction. */
const BATCH = 1_000;

/** Removes the rows beyond the limits. Returns how many went. */
export async function trimAuditLog(
  store: Store,
  limits: AuditLimits,
  now: number = Date.now(),
): Promise<number> {
  const organizations = await store.db.selectFrom("audit_log").select("organization_id").distinct()
    .execute();
  let count = 0;
  for (const { organization_id } of organizations) {
    if (limits.days > 0) {
      const before = new Date(now - limits.days * 24 * 3600 * 1000).toISOString();
      count += await trim(store, organization_id, { before });
    }
    for (const [outcome, most] of [["done", limits.rows], ["refused", limits.refused]] as const) {
      const beyond = await store.db.selectFrom("audit_log").select("id")
        .where("organization_id", "=", organization_id).where("outcome", "=", outcome)
        .orderBy("id", "desc").offset(most).limit(1).executeTakeFirst();
      if (beyond) count += await trim(store, organization_id, { outcome, upTo: beyond.id });
    }
  }
  return count;
}

/** Takes the oldest rows of an organization, as long as they fit. */
async function trim(
  store: Store,
  organizationId: string,
  which: { before?: string; outcome?: "done" | "refused"; upTo?: number },
): Promise<number> {
  const { before, outcome, upTo } = which;
  let count = 0;
  for (;;) {
    const done = await store.write(async ({ db }) => {
      let query = db.selectFrom("audit_log").select("id")
        .where("organization_id", "=", organizationId);
      if (outcome !== undefined) query = query.where("outcome", "=", outcome);
      if (upTo !== undefined) query = query.where("id", "<=", upTo);
      if (before !== undefined) query = query.where("at", "<", before);
      const ids = (await query.orderBy("id").limit(BATCH).execute()).map(({ id }) => id);
      if (ids.length > 0) await db.deleteFrom("audit_log").where("id", "in", ids).execute();
      return ids.length;
    });
    count += done;
    if (done < BATCH) return count;
  }
}
