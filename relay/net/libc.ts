/**
 * The few libc calls that the runtime has no API for, opened once and only where permitted.
 *
 * Absolute paths, because a permission narrowed to one library (`--allow-ffi=/lib/…/libc.so.6`)
 * refuses the bare name. Where there is no permission, or no Linux, {@link socketCalls} answers
 * undefined and every caller falls back to what the runtime can do by itself.
 */

const CANDIDATES = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
];

const SYMBOLS = {
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  dup: { parameters: ["i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  // Moves nothing, and so tells where a buffer lies.
  memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
} as const;

/** The socket calls of libc that this folder uses. */
export type SocketCalls = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

interface Opened {
  path: string;
  calls: SocketCalls;
}

let opened: Opened | null | undefined;

function open(): Opened | null {
  if (Deno.build.os !== "linux") return null;
  for (const path of CANDIDATES) {
    try {
      // Asked first, so that a missing permission never becomes a prompt.
      if (Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") continue;
      return { path, calls: Deno.dlopen(path, SYMBOLS).symbols };
    } catch {
      // Not this one: another architecture or distribution.
    }
  }
  return null;
}

/**
 * Path of a libc that this process may open by FFI, or undefined without permission or off Linux.
 * Give it to `Deno.dlopen` for calls that are not wrapped here.
 */
export function libcPath(): string | undefined {
  return (opened ??= open())?.path;
}

/** The socket calls, or undefined where FFI cannot be used. */
export function socketCalls(): SocketCalls | undefined {
  return (opened ??= open())?.calls;
}
