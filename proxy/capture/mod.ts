/**
 * UDP sockets that face WireGuard: one interface, two ways.
 *
 * `linux` reads and writes in batches by FFI on the runtime's own sockets; `portable` uses the
 * runtime alone, packet by packet. `auto` takes the first that works.
 *
 * @module
 */
import { ProxyError } from "../error.ts";
import { batchCalls } from "./libc.ts";
import { LinuxCapture } from "./linux.ts";
import { PortableCapture } from "./portable.ts";
import type { Capture, CaptureHandler } from "./types.ts";

export type { Capture, CaptureHandler, CaptureSocket } from "./types.ts";
export { CaptureDrops, MAX_DATAGRAM } from "./types.ts";

/**
 * Makes a capture.
 *
 * @throws ProxyError when `linux` is asked for by name and cannot be had
 */
export function openCapture<T>(
  kind: "auto" | "portable" | "linux",
  handler: CaptureHandler<T>,
): Capture<T> {
  const calls = kind === "portable" ? undefined : batchCalls();
  if (calls !== undefined) return new LinuxCapture(handler, calls);
  if (kind === "linux") {
    throw new ProxyError(
      "Cannot use capture linux: libc cannot be called here; " +
        "allow it with --allow-ffi, or choose capture auto or portable",
    );
  }
  return new PortableCapture(handler);
}
