/** The batch calls of libc (recvmmsg(2), sendmmsg(2)) for the Linux capture. */
import { libcPath } from "../../relay/net/mod.ts";

const SYMBOLS = {
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

const NETLINK_SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

const RAW_SYMBOLS = {
  ...NETLINK_SYMBOLS,
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
} as const;

const AF_INET = 2;
const IPPROTO_UDP = 17;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const SO_ATTACH_FILTER = 26;
/** Asked of the system for keepalives: those of thousands of peers within a look. Bytes. */
const RAW_BUFFER = 1 << 20;

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_SOCK_DIAG = 4;

/** What the Linux capture needs of the system; a test may give its own. */
export interface BatchCalls {
  /** Messages received into `headers`, or -1. */
  recvmmsg(fd: number, headers: Uint8Array<ArrayBuffer>, count: number, flags: number): number;
  /** Messages of `headers` sent, or -1. */
  sendmmsg(fd: number, headers: Uint8Array<ArrayBuffer>, count: number, flags: number): number;
  /** Error number of the call before. */
  errno(): number;
}

/** Do not wait; for both calls. */
export const MSG_DONTWAIT = 0x40;

/** Flag of a received message that was longer than its buffer. */
export const MSG_TRUNC = 0x20;

/** Bytes of a `struct mmsghdr` and offsets in it, on 64-bit Linux. */
export const HEADER = {
  size: 64,
  name: 0,
  nameLength: 8,
  vector: 16,
  vectorLength: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  length: 56,
} as const;

let calls: BatchCalls | null | undefined;

function open(): BatchCalls | null {
  const path = libcPath();
  if (path === undefined || !["x86_64", "aarch64"].includes(Deno.build.arch)) return null;
  try {
    const { recvmmsg, sendmmsg, __errno_location } = Deno.dlopen(path, SYMBOLS).symbols;
    // The place belongs to this thread and stays.
    const place = new Deno.UnsafePointerView(__errno_location()!).getArrayBuffer(4);
    const errno = new Int32Array(place);
    return {
      recvmmsg: (fd, headers, count, flags) => recvmmsg(fd, headers, count, flags, null),
      sendmmsg: (fd, headers, count, flags) => sendmmsg(fd, headers, count, flags),
      errno: () => errno[0]!,
    };
  } catch {
    return null;
  }
}

/** The calls, or undefined where FFI is not permitted, or not on 64-bit Linux. */
export function batchCalls(): BatchCalls | undefined {
  return (calls ??= open()) ?? undefined;
}

/** A socket that answers questions about sockets (sock_diag(7)), or undefined without FFI. */
export function netlinkSocket(): { fd: number; close: () => void } | undefined {
  const path = libcPath();
  if (path === undefined) return undefined;
  try {
    const { socket, close } = Deno.dlopen(path, NETLINK_SYMBOLS).symbols;
    const fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG);
    return fd < 0 ? undefined : { fd, close: () => void close(fd) };
  } catch {
    return undefined;
  }
}

/** A socket that gets copies of UDP packets, and attaches filters to others. */
export interface RawSocket {
  fd: number;
  /** Has `program` decide what the socket `fd` takes; false: the system refuses. */
  attach(fd: number, program: Uint8Array<ArrayBuffer>): boolean;
  close(): void;
}

/**
 * A raw socket (raw(7)) for those IPv4 UDP packets on the loopback interface that `program` lets
 * through. Undefined without FFI, or where the process may not have one (CAP_NET_RAW).
 *
 * @param program as from {@linkcode pinned}
 */
export function rawSocket(program: Uint8Array<ArrayBuffer>): RawSocket | undefined {
  const path = libcPath();
  if (path === undefined) return undefined;
  try {
    const { socket, close, setsockopt } = Deno.dlopen(path, RAW_SYMBOLS).symbols;
    const attach = (fd: number, program: Uint8Array<ArrayBuffer>) => {
      const { bytes } = pinned(16); // struct sock_fprog { u16 len; struct sock_filter *filter }
      const words = new Uint32Array(bytes.buffer);
      words[0] = program.length / 8;
      writePointer(words, 2, addressOf(program));
      return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, bytes, 16) === 0;
    };
    const fd = socket(AF_INET, SOCK_RAW_CLOEXEC, IPPROTO_UDP);
    if (fd < 0) return undefined;
    const device = new TextEncoder().encode("lo\0");
    // The filter comes first: what arrives before it is there would pass.
    if (
      !attach(fd, program) ||
      setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, device.length) !== 0
    ) {
      close(fd);
      return undefined;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, new Uint8Array(Int32Array.of(RAW_BUFFER).buffer), 4);
    return { fd, attach, close: () => void close(fd) };
  } catch {
    return undefined;
  }
}

/**
 * Memory at an address that does not move, and that address.
 *
 * Small typed arrays live in the collector's heap and are moved by it; an ArrayBuffer is not.
 */
export function pinned(bytes: number): { bytes: Uint8Array<ArrayBuffer>; address: number } {
  const memory = new Uint8Array(new ArrayBuffer(bytes));
  return { bytes: memory, address: addressOf(memory) };
}

/** Address of a view's first byte. User space lies below 2^47, so a number holds it exactly. */
export function addressOf(view: Uint8Array<ArrayBuffer>): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(view)));
}

/** Writes an address as a little-endian 64-bit pointer. */
export function writePointer(words: Uint32Array, index: number, address: number): void {
  words[index] = address % 0x1_0000_0000;
  words[index + 1] = address / 0x1_0000_0000;
}
