/**
 * The last answer on a connection.
 */
import type { Sweep } from "../../server/mod.ts";

/** How long the other side has to take the answer and to end the stream. */
const FAREWELL_MS = 1_000;

/** Writes all of `bytes`. */
export async function writeAll(
  conn: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Closes what may be closed already. */
export function close(conn: { close(): void }): void {
  try {
    conn.close();
  } catch {
    // Closed before.
  }
}

/**
 * Writes `bytes`, ends our side, and closes once the other side has ended too or a second has
 * passed. Closing at once would be a reset when something stands unread, and a reset may overtake
 * the answer. Never rejects.
 */
export async function farewell(conn: Deno.Conn, bytes: Uint8Array, sweep: Sweep): Promise<void> {
  const deadline = sweep.deadline(FAREWELL_MS, () => conn.close());
  try {
    await writeAll(conn, bytes);
    await conn.closeWrite();
    const rest = new Uint8Array(4096);
    while (await conn.read(rest) !== null);
  } catch {
    // It has ended, or the time was up.
  }
  deadline.end();
  close(conn);
}
