/**
 * Addresses of a pool. What is free is stored, as ranges: the lowest free address is the first row
 * of an index, and taking or giving back an address touches at most three rows, however many devices
 * there are. Every function runs inside the caller's transaction, so a failure leaks nothing.
 *
 * The first gap of a pool is where nearly every address comes from: it is a held row of the transaction.
 * Whatever else touches the gaps of the pool lets go of it first.
 */
import type { RowSource, Write } from "../store/mod.ts";
import { type Family, fromKey, type Range, toKey } from "./address.ts";

/** A namespace has one pool a family; two VPCs with the same namespace share addresses. */
export interface Pool {
  namespace: string;
  family: Family;
}

/** Makes a pool whose addresses are all free; nothing happens if it exists already. */
export async function createPool(write: Write, pool: Pool, range: Range): Promise<void> {
  const ends = { first: toKey(pool.family, range.first), last: toKey(pool.family, range.last) };
  const made = await write.db.insertInto("address_pools").values({ ...pool, ...ends })
    .onConflict((conflict) => conflict.doNothing()).executeTakeFirst();
  if (made.numInsertedOrUpdatedRows) {
    await write.held.release(rowName(pool));
    await write.db.insertInto("address_gaps").values({ ...pool, ...ends }).execute();
  }
}

/** Takes a pool away, whatever is still out; nothing happens if there is none. */
export async function dropPool(write: Write, pool: Pool): Promise<void> {
  await write.held.release(rowName(pool));
  for (const table of ["address_gaps", "address_pools"] as const) {
    await write.db.deleteFrom(table)
      .where("namespace", "=", pool.namespace).where("family", "=", pool.family).execute();
  }
}

/** Takes the lowest free address, or undefined if none is left. */
export async function takeLowest(write: Write, pool: Pool): Promise<bigint | undefined> {
  const source = firstGap(write, pool);
  for (;;) {
    const taken = await write.held.change(rowName(pool), source, (gap): [FirstGap, Taken] => {
      if (gap === undefined) return [gap, "no more"];
      if (gap.first > gap.last) return [gap, "next gap"];
      return [{ ...gap, first: gap.first + 1n }, gap.first];
    });
    if (typeof taken === "bigint") return taken;
    if (taken === "no more") return undefined;
    await write.held.release(rowName(pool));
  }
}

/** What {@linkcode takeLowest} found. */
type Taken = bigint | "next gap" | "no more";

/** The gap that begins at `stored` in the database; used up when `first` is past `last`. */
type FirstGap = { stored: string; first: bigint; last: bigint } | undefined;

function firstGap(write: Write, pool: Pool): RowSource<FirstGap> {
  return {
    load: async () => {
      const gap = await gapsOf(write, pool).orderBy("first").limit(1).executeTakeFirst();
      return gap && { stored: gap.first, first: fromKey(gap.first), last: fromKey(gap.last) };
    },
    save: async (gap) => {
      if (gap === undefined) return;
      if (gap.first > gap.last) return await removeGap(write, pool, gap.stored);
      await replaceGap(write, pool, gap.stored, { first: toKey(pool.family, gap.first) });
    },
  };
}

function rowName({ namespace, family }: Pool): string {
  return `first gap ${namespace} ${family}`;
}

/** Takes this very address; false if it is taken or not in the pool. */
export async function takeThis(write: Write, pool: Pool, address: bigint): Promise<boolean> {
  await write.held.release(rowName(pool));
  const gap = await gapBelow(write, pool, address);
  if (!gap || fromKey(gap.last) < address) return false;
  await cut(write, pool, gap, address);
  return true;
}

/** Gives an address back. Throws if it is free already or not of this pool: a bug of the caller. */
export async function giveBack(write: Write, pool: Pool, address: bigint): Promise<void> {
  await write.held.release(rowName(pool));
  const bounds = await write.db.selectFrom("address_pools").select(["first", "last"])
    .where("namespace", "=", pool.namespace).where("family", "=", pool.family)
    .executeTakeFirst();
  if (!bounds || address < fromKey(bounds.first) || address > fromKey(bounds.last)) {
    throw new Error(`address ${toKey(pool.family, address)} is not of pool ${pool.namespace}`);
  }
  const below = await gapBelow(write, pool, address);
  if (below && fromKey(below.last) >= address) {
    throw new Error(`address ${toKey(pool.family, address)} was free already`);
  }
  const above = await gapsOf(write, pool).where("first", "=", toKey(pool.family, address + 1n))
    .executeTakeFirst();
  const joinsBelow = below !== undefined && fromKey(below.last) === address - 1n;
  const first = joinsBelow ? below.first : toKey(pool.family, address);
  const last = above?.last ?? toKey(pool.family, address);
  if (above) await removeGap(write, pool, above.first);
  if (joinsBelow) await removeGap(write, pool, below.first);
  await write.db.insertInto("address_gaps").values({ ...pool, first, last }).execute();
}

interface Gap {
  first: string;
  last: string;
}

/** Removes one address from the gap that holds it: the gap shrinks, splits or goes. */
async function cut(write: Write, pool: Pool, gap: Gap, address: bigint): Promise<void> {
  const rest: Gap[] = [];
  if (fromKey(gap.first) < address) {
    rest.push({ first: gap.first, last: toKey(pool.family, address - 1n) });
  }
  if (fromKey(gap.last) > address) {
    rest.push({ first: toKey(pool.family, address + 1n), last: gap.last });
  }
  const [kept, ...more] = rest;
  if (kept === undefined) return await removeGap(write, pool, gap.first);
  await replaceGap(write, pool, gap.first, kept);
  for (const part of more) {
    await write.db.insertInto("address_gaps").values({ ...pool, ...part }).execute();
  }
}

async function gapBelow(write: Write, pool: Pool, address: bigint): Promise<Gap | undefined> {
  return await gapsOf(write, pool).where("first", "<=", toKey(pool.family, address))
    .orderBy("first", "desc").limit(1).executeTakeFirst();
}

/** Changes the ends of the gap that begins at `first`. */
async function replaceGap(
  write: Write,
  pool: Pool,
  first: string,
  ends: Partial<Gap>,
): Promise<void> {
  await write.db.updateTable("address_gaps").set(ends)
    .where("namespace", "=", pool.namespace).where("family", "=", pool.family)
    .where("first", "=", first).execute();
}

async function removeGap(write: Write, pool: Pool, first: string): Promise<void> {
  await write.db.deleteFrom("address_gaps")
    .where("namespace", "=", pool.namespace).where("family", "=", pool.family)
    .where("first", "=", first).execute();
}

function gapsOf(write: Write, pool: Pool) {
  return write.db.selectFrom("address_gaps").select(["first", "last"])
    .where("namespace", "=", pool.namespace).where("family", "=", pool.family);
}
