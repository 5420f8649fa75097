/**
 * Linux' socket calls that the runtime has no API for: raw sockets, netlink, and one call that waits
 * for several sockets at once. Opened when first asked for, and only where permitted.
 *
 * @module
 */
import { libcPath } from "../../relay/net/mod.ts";

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  sendto: {
    parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"],
    result: "isize",
  },
  recvfrom: {
    parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"],
    result: "isize",
  },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  // Waits on a thread of the runtime's pool: the event loop goes on.
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32", nonblocking: true },
  // Moves nothing, and so tells where a buffer lies.
  memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

type Symbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** The calls, and `errno` of the last synchronous one. */
export type LinuxSockets = Omit<Symbols, "__errno_location"> & { errno(): number };

/** Numbers of Linux' headers, the same on every architecture that the runtime runs on. */
export const LINUX = {
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_CLOEXEC: 0o2000000,
  SOCK_NONBLOCK: 0o4000,
  IPPROTO_UDP: 17,
  IPPROTO_IPV6: 41,
  IPV6_CHECKSUM: 7,
  SOL_SOCKET: 1,
  SO_RCVBUF: 8,
  SO_ATTACH_FILTER: 26,
  SO_MARK: 36,
  MSG_DONTWAIT: 0x40,
  POLLIN: 1,
  EFD_CLOEXEC: 0o2000000,
  EFD_NONBLOCK: 0o4000,
  EPERM: 1,
  EINTR: 4,
  EAGAIN: 11,
  EACCES: 13,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  EHOSTUNREACH: 113,
  EADDRNOTAVAIL: 99,
  EAFNOSUPPORT: 97,
} as const;

let opened: LinuxSockets | null | undefined;

/** The calls, or undefined off Linux and where FFI is not permitted. */
export function linuxSockets(): LinuxSockets | undefined {
  if (opened !== undefined) return opened ?? undefined;
  opened = null;
  const path = libcPath();
  if (path === undefined) return undefined;
  try {
    const { __errno_location, ...calls } = Deno.dlopen(path, SYMBOLS).symbols;
    // It lies in this thread's memory for as long as the thread lives.
    const place = new Deno.UnsafePointerView(__errno_location()!).getArrayBuffer(4);
    const errno = new Int32Array(place);
    opened = { ...calls, errno: () => errno[0]! };
  } catch {
    // Permitted, but not this library: as good as not permitted.
  }
  return opened ?? undefined;
}

/** What an error number of a socket call means, for people. */
export function errnoText(errno: number): string {
  switch (errno) {
    case LINUX.EPERM:
    case LINUX.EACCES:
      return "not permitted";
    case LINUX.ENETUNREACH:
    case LINUX.EHOSTUNREACH:
      return "network unreachable";
    case LINUX.EADDRNOTAVAIL:
      return "no address to send from";
    case LINUX.EAFNOSUPPORT:
      return "address family not supported";
    case LINUX.ENOBUFS:
      return "no buffer space";
    default:
      return `error ${errno}`;
  }
}
