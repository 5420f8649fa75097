/**
 * Writing a private file so that a reader, or a crash, finds the old content or the new.
 *
 * @module
 */
import { dirname, join } from "node:path";

/** Replaces a file; the new one has mode 0600 from its first byte on. Throws the runtime's error. */
export async function writePrivate(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `.${crypto.randomUUID()}.tmp`);
  try {
    using file = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
    for (let rest = new TextEncoder().encode(text); rest.length > 0;) {
      rest = rest.subarray(await file.write(rest));
    }
    await file.sync();
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
