/**
 * A larger receive buffer for wireguard-go's sockets.
 *
 * It leaves them as the system makes them, with room for some 90 full packets: on a busy host a pause
 * of 10 ms overflows that at 100 Mbit/s. There is no option for it, and the system's default is not
 * ours to change; but the parent of a process may share its descriptors (pidfd_getfd(2), Linux 5.6),
 * and a buffer belongs to the socket, whoever sets it.
 *
 * @module
 */
import { getSocketOption, libcPath, setReceiveBuffer } from "../../../relay/net/mod.ts";

/**
 * What is asked for; Linux counts twice that, some 230 full packets: 20 ms of 100 Mbit/s. More would
 * only be delay where WireGuard is the slowest part of a direct path. Bytes.
 */
const RECEIVE_BUFFER = 256 * 1024;

const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_RCVBUF = 8;
const SO_DOMAIN = 39;
const SOCK_DGRAM = 2;
const INTERNET = [2, /* AF_INET */ 10 /* AF_INET6 */];

const SYMBOLS = {
  syscall: { parameters: ["i32", "i32", "i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/**
 * Gives every UDP socket of a process a receive buffer of at least `bytes`.
 *
 * @returns how many sockets have it now; 0 where that is not permitted or not possible: WireGuard
 *   works without, and loses more when the host is busy
 */
export function raiseReceiveBuffers(pid: number, bytes: number = RECEIVE_BUFFER): number {
  const path = libcPath();
  if (path === undefined) return 0;
  let raised = 0;
  try {
    using libc = open(path);
    const { syscall, close } = libc.symbols;
    const process = syscall(SYS_PIDFD_OPEN, pid, 0, 0);
    if (process < 0) return 0;
    try {
      for (const theirs of socketsOf(pid)) {
        const fd = syscall(SYS_PIDFD_GETFD, process, theirs, 0);
        if (fd < 0) continue;
        if (isUdp(fd) && enlarge(fd, bytes)) raised++;
        close(fd);
      }
    } finally {
      close(process);
    }
  } catch {
    // Not permitted here, or the process has just ended.
  }
  return raised;
}

function open(path: string) {
  const library = Deno.dlopen(path, SYMBOLS);
  return { symbols: library.symbols, [Symbol.dispose]: () => library.close() };
}

function socketsOf(pid: number): number[] {
  const directory = `/proc/${pid}/fd`;
  return [...Deno.readDirSync(directory)].map(({ name }) => Number(name)).filter((fd) => {
    try {
      return Deno.readLinkSync(`${directory}/${fd}`).startsWith("socket:");
    } catch {
      return false; // closed meanwhile
    }
  });
}

function isUdp(fd: number): boolean {
  return getSocketOption(fd, SOL_SOCKET, SO_TYPE) === SOCK_DGRAM &&
    INTERNET.includes(getSocketOption(fd, SOL_SOCKET, SO_DOMAIN) ?? 0);
}

/** The kernel counts, and tells, twice what is asked for. */
function enlarge(fd: number, bytes: number): boolean {
  const enough = () => (getSocketOption(fd, SOL_SOCKET, SO_RCVBUF) ?? 0) >= 2 * bytes;
  return enough() || (setReceiveBuffer(fd, bytes) && enough());
}
