/**
 * Standard error: the terminal's, or, for a service whose manager keeps none, a file that is bounded.
 *
 * @module
 */

/** Bytes of the file, after which it becomes `FILE.1` and a new one is begun. */
const LIMIT = 8 << 20;

let sink: (bytes: Uint8Array) => void = (bytes) => void Deno.stderr.writeSync(bytes);

/** Writes all of it. */
export function writeError(text: string): void {
  sink(new TextEncoder().encode(text));
}

/** From now on errors and the log go to a file, which only its owner may read. */
export function errorsToFile(path: string, limit: number = LIMIT): void {
  const open = () => Deno.openSync(path, { append: true, create: true, mode: 0o600 });
  let file = open();
  let size = file.statSync().size;
  sink = (bytes) => {
    if (size > 0 && size + bytes.length > limit) {
      file.close();
      try {
        Deno.renameSync(path, `${path}.1`);
      } catch {
        // Somebody has it open, or has moved it away: it grows on, or begins anew.
      }
      file = open();
      size = 0;
    }
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    size += bytes.length;
  };
}
