/** The relay that runs in the control plane's own process, as a row like any other. */
import { getLogger } from "@logtape/logtape";
import { SYSTEM } from "../audit/mod.ts";
import type { Store } from "../store/mod.ts";
import { changeRelayRegion, freeRegionId, insertRelayRegion } from "./regions.ts";

const log = getLogger(["nexd", "control"]);

/** Where it is, and whom to trust there. */
export interface OwnRelay {
  hostname: string;
  port: number;
  /** 0: no STUN. */
  stunPort: number;
  /** PEM; `""` where the system's CAs will do. */
  ca: string;
}

/** Which row it is. */
const KEY = "own_relay";

/**
 * Enters the relay at the first start, and keeps where it is up to date at later ones. What the operator
 * made of the row stays: one that was deleted does not come back, and one of the same place is taken. Returns the row's id, if
 * there is one.
 */
export async function publishOwnRelay(
  store: Store,
  own: OwnRelay,
): Promise<string | undefined> {
  const { hostname, port, stunPort: stun_port, ca } = own;
  return await store.write(async (write) => {
    const { db } = write;
    const kept = await db.selectFrom("meta").select("value").where("key", "=", KEY)
      .executeTakeFirst();
    const place = { hostname, port, stun_port, ca };
    if (kept !== undefined) {
      const row = await db.selectFrom("relay_regions").selectAll().where("id", "=", kept.value)
        .where("deleted_at", "is", null).executeTakeFirst();
      if (row === undefined) {
        log.info("agents are not told of this process' relay: its region was deleted");
      } else await changeRelayRegion(write, SYSTEM, row, place);
      return row?.id;
    }
    const twin = await db.selectFrom("relay_regions").selectAll().where("hostname", "=", hostname)
      .where("port", "=", port).where("deleted_at", "is", null).executeTakeFirst();
    const row = twin ?? await insertRelayRegion(write, SYSTEM, {
      ...place,
      name: hostname,
      region_id: await freeRegionId(db),
      weight: 100,
      drained: 0,
    });
    await db.insertInto("meta").values({ key: KEY, value: row.id }).execute();
    return row.id;
  });
}
