/**
 * Socket options by file descriptor, and how to find the descriptor of a socket the runtime made.
 *
 * The runtime does not tell descriptors. A process that is not run with every permission may not
 * read `/proc/self/fd` either, so the table is probed with `getsockopt`, which costs a fraction of
 * a microsecond per number.
 */
import { socketCalls } from "./libc.ts";

const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SOCK_DGRAM = 2;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_USER_TIMEOUT = 18;
const TCP_NOTSENT_LOWAT = 25;
const SO_KEEPALIVE = 9;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const AF_INET = 2;

/** The kernel gives out the lowest free number, so a hole this long means the end of the table. */
const END_OF_TABLE = 512;

const value = new Int32Array(1);
const valueLength = new Uint32Array(1);

/**
 * Reads a whole-number socket option, e.g. `getSocketOption(fd, 6, 1)` for TCP_NODELAY.
 * Undefined without FFI, or where the descriptor is no socket.
 */
export function getSocketOption(fd: number, level: number, name: number): number | undefined {
  valueLength[0] = 4;
  const result = socketCalls()?.getsockopt(fd, level, name, value, valueLength);
  return result === 0 ? value[0] : undefined;
}

function setSocketOption(fd: number, level: number, name: number, n: number): boolean {
  value[0] = n;
  return socketCalls()?.setsockopt(fd, level, name, value, 4) === 0;
}

/** Descriptors of this process that are sockets now. Empty without FFI. */
export function socketFds(): Set<number> {
  const found = new Set<number>();
  if (socketCalls() === undefined) return found;
  for (let fd = 0, last = 0; fd - last <= END_OF_TABLE; fd++) {
    if (getSocketOption(fd, SOL_SOCKET, SO_TYPE) === undefined) continue;
    found.add(fd);
    last = fd;
  }
  return found;
}

/** IPv4 or IPv6 port, and IPv4 address, a socket is bound to; undefined if neither family. */
function boundTo(fd: number): { hostname: string | undefined; port: number } | undefined {
  const name = new Uint8Array(28);
  valueLength[0] = name.length;
  if (socketCalls()?.getsockname(fd, name, valueLength) !== 0) return undefined;
  const family = new Uint16Array(name.buffer, 0, 1)[0];
  if (family !== AF_INET && family !== 10) return undefined;
  const port = (name[2]! << 8) | name[3]!;
  return { hostname: family === AF_INET ? name.subarray(4, 8).join(".") : undefined, port };
}

/**
 * Descriptor of the socket made since `before` was taken with {@link socketFds}.
 *
 * Take both without an await between, around the call that makes the socket. Other threads of the
 * runtime (name look-up) may open one in the same moment: give `local`, the address the socket is
 * bound to, and only a socket bound there is taken. Undefined when none, or no single one, fits.
 */
export function newSocketFd(
  before: Set<number>,
  local?: { hostname?: string; port: number },
): number | undefined {
  let found: number | undefined;
  for (const fd of socketFds()) {
    if (before.has(fd)) continue;
    if (local !== undefined) {
      const bound = boundTo(fd);
      if (bound?.port !== local.port) continue;
      if (local.hostname !== undefined && bound.hostname !== local.hostname) continue;
    }
    if (found !== undefined) return undefined;
    found = fd;
  }
  return found;
}

/** True when descriptor `fd` is a socket bound to this IPv4 address and port. */
export function isBoundTo(fd: number, hostname: string, port: number): boolean {
  const bound = boundTo(fd);
  return bound !== undefined && bound.hostname === hostname && bound.port === port;
}

/**
 * The number that the next descriptor opened will have, unless another thread is faster.
 * Undefined without FFI.
 */
export function nextFd(): number | undefined {
  const calls = socketCalls();
  if (calls === undefined) return undefined;
  for (let fd = 0; fd < 3; fd++) {
    const next = calls.dup(fd);
    if (next < 0) continue;
    calls.close(next);
    return next;
  }
  return undefined;
}

/**
 * Descriptor of the datagram socket bound to this IPv4 address and port, or undefined.
 *
 * @param guess what {@linkcode nextFd} said before the socket was opened: tried first, so that
 *   opening many sockets does not search the whole table for each
 */
export function datagramFd(hostname: string, port: number, guess?: number): number | undefined {
  const fits = (fd: number) =>
    getSocketOption(fd, SOL_SOCKET, SO_TYPE) === SOCK_DGRAM && isBoundTo(fd, hostname, port);
  if (guess !== undefined && fits(guess)) return guess;
  for (const fd of socketFds()) {
    if (fits(fd)) return fd;
  }
  return undefined;
}

/**
 * Sets TCP_NODELAY on a listener; sockets it accepts inherit it. A TLS connection has no call for
 * it, and without it a request that is written in two parts waits for the other side's delayed
 * acknowledgement (40 ms). False where it could not be set.
 */
export function setNoDelayOnListener(fd: number): boolean {
  return setSocketOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/**
 * Ends a TCP connection whose sent data stays unacknowledged for `ms` milliseconds
 * (TCP_USER_TIMEOUT, RFC 5482). On a listener, accepted sockets inherit it.
 */
export function setTcpUserTimeout(fd: number, ms: number): boolean {
  return setSocketOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
}

/**
 * Lets TCP hold no more than `bytes` that it has not sent yet (TCP_NOTSENT_LOWAT); the rest waits with
 * the writer, who may think again about what is worth sending. What is under way is not bounded.
 */
export function setNotSentLimit(fd: number, bytes: number): boolean {
  return setSocketOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}

/**
 * Has TCP ask after `ms` milliseconds of silence whether the other side is there (SO_KEEPALIVE,
 * TCP_KEEPIDLE; whole seconds, at least one). On a listener, accepted sockets inherit it.
 */
export function setTcpKeepAlive(fd: number, ms: number): boolean {
  const seconds = Math.min(32_767, Math.max(1, Math.round(ms / 1000))); // the kernel's bounds
  return setSocketOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
    setSocketOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
}

/**
 * True when a socket bound to `::` takes IPv4 as well, false when the system has it take IPv6 only
 * (net.ipv6.bindv6only); undefined without FFI.
 */
export function isDualStack(fd: number): boolean | undefined {
  const only = getSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  return only === undefined ? undefined : only === 0;
}

/**
 * Sets the receive buffer to `bytes`: beyond the system's limit where the process may
 * (CAP_NET_ADMIN), else up to the limit. False where neither was accepted.
 */
export function setReceiveBuffer(fd: number, bytes: number): boolean {
  return setSocketOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) ||
    setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, bytes);
}
