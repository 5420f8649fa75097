/**
 * The way to the control socket on this system: a unix socket, on Windows a named pipe, which the
 * runtime offers through `node:net` only.
 *
 * @module
 */
import { usageError } from "../errors.ts";

/** One connection, as far as it is used. */
export interface LocalConn {
  /** Bytes read into `buffer`; null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Bytes written. */
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** What accepts connections. */
export interface LocalListener extends AsyncIterable<LocalConn> {
  close(): void;
}

/** How connections are made, and accepted, on a system. */
export interface Local {
  /** Rejects with `Deno.errors.PermissionDenied` where this user may not connect. */
  connect(path: string): Promise<LocalConn>;
  listen(path: string): Promise<LocalListener>;
  /** Removes what is left at the path. */
  remove(path: string): Promise<void>;
}

/** Unix sockets: only this user and root may connect. */
export const UNIX_SOCKETS: Local = {
  connect: (path) => Deno.connect({ transport: "unix", path }),
  async listen(path) {
    const left = await Deno.lstat(path).catch(() => undefined);
    if (left !== undefined && left.isSocket !== true) throw new Error("a file that is no socket");
    if (left !== undefined) await Deno.remove(path);
    // The mode has to be right from the first moment: the umask is the only way to say it.
    const mask = Deno.umask(0o177);
    try {
      return Deno.listen({ transport: "unix", path });
    } finally {
      Deno.umask(mask);
    }
  },
  remove: (path) => Deno.remove(path).catch(() => {}),
};

/**
 * Named pipes. Whom the system lets write to one is said by its usual descriptor: its owner,
 * administrators and the system. It goes with its last handle, so nothing is ever left.
 */
export const NAMED_PIPES: Local = {
  connect: async (path) => await (await pipes()).connectPipe(pipePath(path)),
  listen: async (path) => await (await pipes()).listenPipe(pipePath(path)),
  remove: () => Promise.resolve(),
};

/** This system's. */
export const LOCAL: Local = Deno.build.os === "windows" ? NAMED_PIPES : UNIX_SOCKETS;

/** Loaded where it is needed: `node:net` costs start-up time. */
const pipes = () => import("./pipe.ts");

function pipePath(path: string): string {
  if (/^\\\\[.?]\\pipe\\[^/]+$/i.test(path)) return path;
  throw usageError(
    `--unix-socket ${path.slice(0, 200)}: on Windows it is a pipe, such as \\\\.\\pipe\\nexd`,
  );
}
