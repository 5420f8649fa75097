/**
 * The directory in which the workers of a relay, and of one that replaces it, find each other's
 * sockets. Whoever can write there can pose as a worker, so it is private and its owner is checked.
 */
import { basename, dirname, join } from "node:path";
import { reasonOf } from "../cert/mod.ts";
import { RelayError } from "../errors.ts";

/** A unix socket's path has 108 bytes; a worker's name takes some. */
const MAX_PATH = 84;

const RUN = "/run/nexd";

/** What tells one relay's directory from another's. */
export interface RunDirOptions {
  /** `--run-dir`; undefined for the usual places. */
  base: string | undefined;
  /** The relay's public key, 64 hex digits. */
  publicKey: string;
  /** The port it serves. */
  port: number;
}

/**
 * Makes the directory of one key and port, mode 0700, below the base or the first usual place that
 * this user may use: `/run/nexd`, `$XDG_RUNTIME_DIR/nexd`, the temporary directory.
 *
 * @returns its path
 * @throws RelayError naming the place
 */
export async function makeRunDir({ base, publicKey, port }: RunDirOptions): Promise<string> {
  const name = `${publicKey.slice(0, 16)}-${port}`;
  if (base !== undefined) {
    const path = join(base, name);
    const problem = await tryPrivateDir(path);
    if (problem === undefined) return path;
    throw new RelayError(`Cannot use run directory ${path}: ${problem}; choose another --run-dir`);
  }
  let last = "";
  for (const place of [RUN, runtimeDir(), await temporaryDir(publicKey)]) {
    if (place === undefined) continue;
    const path = join(place, name);
    const problem = await tryPrivateDir(path);
    if (problem === undefined) return path;
    last = `${path}: ${problem}`;
  }
  throw new RelayError(`Cannot use run directory ${last}; give another place with --run-dir`);
}

/** Removes the directory where nobody else uses it, and the usual place that it is in likewise. */
export async function removeRunDir(path: string): Promise<void> {
  await Deno.remove(path).catch(() => {}); // not empty: a replacement is in it
  const place = dirname(path);
  if (/^nexd(-|$)/.test(basename(place))) await Deno.remove(place).catch(() => {});
}

/** Makes `path` private; says in words why that cannot be, or undefined when it is. */
async function tryPrivateDir(path: string): Promise<string | undefined> {
  if (new TextEncoder().encode(path).length > MAX_PATH) return "the path is too long for a socket";
  try {
    // Whoever ends may take an empty place away in between, once.
    await makeBoth(path).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return makeBoth(path);
    });
    const info = await Deno.lstat(path);
    if (!info.isDirectory) return "it is no directory";
    // Its owner is compared with that of something just made: who we are needs no permission so.
    const probe = join(path, `.${crypto.randomUUID()}`);
    await Deno.mkdir(probe);
    const { uid } = await Deno.lstat(probe);
    await Deno.remove(probe);
    const { uid: parentUid } = await Deno.stat(dirname(path));
    if (info.uid !== uid || (parentUid !== uid && parentUid !== 0)) {
      return "it belongs to another user";
    }
    if ((info.mode! & 0o077) !== 0) await Deno.chmod(path, 0o700);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

async function makeBoth(path: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await Deno.mkdir(path, { mode: 0o700 }).catch((error) => {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  });
}

function runtimeDir(): string | undefined {
  const variable = "XDG_RUNTIME_DIR";
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return undefined;
  const place = Deno.env.get(variable) ?? "";
  return place.startsWith("/") ? join(place, "nexd") : undefined;
}

/** The same place at each start of one relay, with a name that others cannot foresee. */
async function temporaryDir(publicKey: string): Promise<string | undefined> {
  try {
    const probe = await Deno.makeTempDir();
    await Deno.remove(probe);
    return join(dirname(probe), `nexd-${publicKey.slice(16, 32)}`);
  } catch {
    return undefined;
  }
}
