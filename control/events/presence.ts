/** What the database knows of who is online: rows of many devices in a few statements. */
import { type DeviceRow, together, type Write } from "../store/mod.ts";

/** Devices that one call may have. */
export const CHUNK = 100;
/** How many devices statements are made for: few sizes, so that each is prepared once. */
const SIZES = [1, 8, 32, CHUNK];

type Known = Pick<DeviceRow, "id" | "vpc_id" | "online">;

/**
 * Notes that devices have streams at a control plane, and are online. At most {@linkcode CHUNK} of them.
 *
 * @returns those that there are
 */
export async function noteStreams(
  write: Write,
  ids: readonly string[],
  instanceId: string,
): Promise<string[]> {
  if (ids.length === 0) return [];
  const known: Known[] = await write.db.selectFrom("devices").select(["id", "vpc_id", "online"])
    .where("id", "in", padded(ids)).where("deleted_at", "is", null).execute();
  if (known.length === 0) return [];
  const streams = known.map(({ id }) => ({ device_id: id, instance_id: instanceId }));
  await together(
    write.db.insertInto("device_streams").values(padded(streams))
      .onConflict((conflict) => conflict.doNothing()).execute(),
    setOnline(write, known.filter(({ online }) => online === 0), true),
  );
  return known.map(({ id }) => id);
}

/**
 * Marks those of the devices offline that have no stream at any control plane. At most
 * {@linkcode CHUNK} of them.
 */
export async function setOffline(write: Write, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const all = padded(ids);
  const left: Known[] = await write.db.selectFrom("devices").select(["id", "vpc_id", "online"])
    .where("id", "in", all).where("online", "=", 1).where("deleted_at", "is", null)
    .where(
      "id",
      "not in",
      (eb) => eb.selectFrom("device_streams").select("device_id").where("device_id", "in", all),
    )
    .execute();
  await setOnline(write, left, false);
}

async function setOnline(write: Write, devices: readonly Known[], online: boolean): Promise<void> {
  if (devices.length === 0) return;
  const revisions: { id: string; revision: number }[] = [];
  for (const { id, vpc_id } of devices) {
    revisions.push({ id, revision: await write.revision("devices", vpc_id) });
  }
  const [first, ...others] = padded(revisions);
  const ids = padded(devices.map(({ id }) => id));
  await together(
    // What they told of their ways is of then.
    online
      ? Promise.resolve()
      : write.db.deleteFrom("device_paths").where("device_id", "in", ids).execute(),
    write.db.updateTable("devices").set((eb) => {
      // PostgreSQL takes a number that it is not told the type of for a text here.
      const number = (value: number) => eb.cast<number>(eb.val(value), "bigint");
      let which = eb.case("id").when(first!.id).then(number(first!.revision));
      for (const { id, revision } of others) which = which.when(id).then(number(revision));
      return {
        online: online ? 1 : 0,
        online_at: new Date().toISOString(),
        revision: which.else(eb.ref("revision")).end(),
      };
    }).where("id", "in", ids).execute(),
  );
}

/** The same as a set, in a size that statements are made for: the last again as often as it takes. */
function padded<T>(values: readonly T[]): T[] {
  const size = SIZES.find((size) => size >= values.length) ?? values.length;
  return [...values, ...Array<T>(size - values.length).fill(values.at(-1)!)];
}
