/**
 * The file that holds the relay's identity, in the reference relay's format. Clients recognise a
 * relay by this key, so it is made once and kept.
 */
import { dirname, join } from "node:path";
import { reasonOf } from "./cert/mod.ts";
import {
  DerpError,
  formatDerperKeyFile,
  generatePrivateKey,
  parseDerperKeyFile,
} from "./derp/mod.ts";
import { RelayError } from "./errors.ts";

/** Where the reference relay keeps its key when it runs as root. */
const DEFAULT_KEY_FILE = "/var/lib/derper/derper.key";

/** A key file is 100 bytes; more than this is some other file. */
const MAX_KEY_FILE = 64 * 1024;

/**
 * Reads the private key, or makes it where there is no file yet.
 *
 * @param path from the command line; undefined for the default, which needs root
 * @throws RelayError naming the file
 */
export async function loadServerKey(path: string | undefined): Promise<Uint8Array> {
  const file = path ?? DEFAULT_KEY_FILE;
  const remedy = path === undefined ? "name a file with -c" : "choose another file with -c";
  let text: string;
  try {
    const info = await Deno.stat(file);
    if (info.isDirectory || info.size > MAX_KEY_FILE) {
      throw new RelayError(`Cannot use key file ${file}: it is no key file; ${remedy}`);
    }
    text = await Deno.readTextFile(file);
  } catch (error) {
    if (error instanceof RelayError) throw error;
    if (error instanceof Deno.errors.NotFound) return await makeKeyFile(file, remedy);
    throw new RelayError(`Cannot read key file ${file}: ${reasonOf(error)}; ${remedy}`);
  }
  try {
    return parseDerperKeyFile(text);
  } catch (error) {
    if (!(error instanceof DerpError)) throw error;
    throw new RelayError(
      `Cannot use key file ${file}: it holds no relay key; the file was left as it is: ` +
        `restore a backup of it, or move it away to have a new key made`,
    );
  }
}

async function makeKeyFile(file: string, remedy: string): Promise<Uint8Array> {
  const key = generatePrivateKey();
  const directory = dirname(file);
  const temporary = join(directory, `.derper.key.${crypto.randomUUID()}`);
  try {
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    try {
      using opened = await Deno.open(temporary, { write: true, createNew: true, mode: 0o600 });
      for (let rest = new TextEncoder().encode(formatDerperKeyFile(key)); rest.length > 0;) {
        rest = rest.subarray(await opened.write(rest));
      }
      // A name for nothing would be left by a power cut, and refused at each start.
      await opened.sync();
      // A link, not a rename: of two relays starting at once, one key wins for both.
      await Deno.link(temporary, file);
    } finally {
      await Deno.remove(temporary).catch(() => {});
    }
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return await loadServerKey(file);
    throw new RelayError(`Cannot make key file ${file}: ${reasonOf(error)}; ${remedy}`);
  }
  return key;
}
