/**
 * A compressed archive of small text files (POSIX.1 ustar, RFC 1952 gzip).
 *
 * @module
 */

const BLOCK = 512;
const encoder = new TextEncoder();

/** One file of an archive. */
export interface ArchiveFile {
  /** At most 99 bytes. */
  name: string;
  text: string;
}

/** A header block. Numbers are octal; the checksum is over the block with eight spaces in its place. */
function header(name: string, size: number, seconds: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => block.set(encoder.encode(text), at);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0") + "\0";
  if (encoder.encode(name).length > 99) throw new RangeError(`${name} is too long a name`);
  put(0, name);
  put(100, octal(0o600, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(seconds, 11));
  put(148, " ".repeat(8));
  put(156, "0");
  put(257, "ustar\0" + "00");
  put(148, octal(block.reduce((sum, byte) => sum + byte, 0), 6) + " ");
  return block;
}

/** A `.tar.gz` of the files, in their order. */
export async function archive(
  files: readonly ArchiveFile[],
  time: Date,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (const { name, text } of files) {
    const bytes = encoder.encode(text);
    const rest = (BLOCK - bytes.length % BLOCK) % BLOCK;
    const seconds = Math.floor(time.getTime() / 1000);
    parts.push(new Uint8Array(header(name, bytes.length, seconds)), bytes, new Uint8Array(rest));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  const packed = new Blob(parts).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}
