/**
 * The directory where the workers of a relay find each other: a unix socket for each.
 */
import { encodeFrame, type Frame } from "../derp/mod.ts";
import { SiblingFrame } from "../server/mod.ts";
import { MeshError } from "./error.ts";
import { FrameStream, type Stream, tryClose, writeAll } from "./stream.ts";

const SUFFIX = ".sock";

/** Bytes of a unix socket's path, as the system bounds them. */
const MAX_PATH = 107;

/** How long a worker may take to say who it is. */
export const HELLO_MS = 2_000;

/** A worker's name: part of a path. */
const NAME = /^[A-Za-z0-9._-]{1,64}$/;

/** Path of a worker's socket. */
export function socketPath(directory: string, name: string): string {
  return `${directory}/${name}${SUFFIX}`;
}

/**
 * Makes the directory, for its owner only, and says where this worker's socket goes.
 *
 * @throws MeshError when that cannot be
 */
export async function prepare(directory: string, name: string): Promise<string> {
  const path = socketPath(directory, name);
  if (!NAME.test(name)) throw new MeshError(`Cannot name a worker "${name}": use letters`, 2);
  if (new TextEncoder().encode(path).length > MAX_PATH) {
    throw new MeshError(
      `Cannot use ${path}: longer than a socket's path may be; shorten --run-dir`,
    );
  }
  try {
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    // It may have been there. Whoever can open a socket in it may send packets in any name.
    if ((await Deno.lstat(directory)).mode! & 0o077) await Deno.chmod(directory, 0o700);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MeshError(`Cannot use ${directory}: ${reason}; choose another --run-dir`);
  }
  return path;
}

/**
 * Listens on a worker's socket.
 *
 * @throws MeshError when that cannot be, or the directory is another user's, who could put sockets
 *   of his own into it
 */
export async function serve(directory: string, path: string): Promise<Deno.UnixListener> {
  let listener: Deno.UnixListener | undefined;
  let reason: string;
  try {
    listener = Deno.listen({ transport: "unix", path });
    // Whose the socket is tells who we are, without asking for more permissions.
    if ((await Deno.lstat(path)).uid === (await Deno.lstat(directory)).uid) return listener;
    reason = "the directory belongs to another user";
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error);
  }
  tryClose(listener);
  throw new MeshError(`Cannot listen on ${path}: ${reason}; choose another --run-dir`);
}

/** Names of the workers that have a socket in the directory, alive or not. */
export async function namesIn(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) {
      if (name.endsWith(SUFFIX)) names.push(name.slice(0, -SUFFIX.length));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.filter((name) => NAME.test(name)).sort();
}

/** The frame that says who speaks; an empty name only wants to know who is there. */
export function encodeHello(name: string): Uint8Array {
  return encodeFrame(SiblingFrame.Hello, new TextEncoder().encode(name));
}

/**
 * Says who we are and reads who the other is, before anything else, in bounded time.
 *
 * @throws MeshError when it is no worker
 */
export async function greet(stream: Stream, frames: FrameStream, name: string): Promise<string> {
  const timer = setTimeout(() => tryClose(stream), HELLO_MS);
  try {
    await writeAll(stream, encodeHello(name));
    return helloOf(await frames.next());
  } finally {
    clearTimeout(timer);
  }
}

/** The name in a Hello frame. */
export function helloOf(frame: Frame | undefined): string {
  const name = new TextDecoder().decode(frame?.payload ?? new Uint8Array(0));
  if (frame?.type !== SiblingFrame.Hello || (name !== "" && !NAME.test(name))) {
    throw new MeshError("it does not speak like a worker");
  }
  return name;
}

/** Names of the workers in a directory that answer. */
export async function liveSiblings(directory: string): Promise<string[]> {
  const asked = (await namesIn(directory)).map(async (name) => {
    let conn: Deno.UnixConn | undefined;
    try {
      conn = await Deno.connect({ transport: "unix", path: socketPath(directory, name) });
      return await greet(conn, new FrameStream(conn), "");
    } catch {
      return "";
    } finally {
      tryClose(conn);
    }
  });
  return (await Promise.all(asked)).filter((name) => name !== "");
}
