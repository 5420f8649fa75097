/**
 * Finds TCP connections by their ends, and ends them for good.
 *
 * The runtime's `close` of a TLS connection is a polite one: a handshake that has begun goes on in
 * the background, for as long as the other side likes, and holds the descriptor. A stranger who
 * sends nothing would so keep what was closed. Shutting the socket down ends it at once.
 */
import { socketCalls } from "./libc.ts";
import { socketFds } from "./sockets.ts";

const SHUT_RDWR = 2;
const AF_INET = 2;
const AF_INET6 = 10;

/** One end of a TCP connection. */
export interface Endpoint {
  hostname: string;
  port: number;
}

const name = new Uint8Array(28);
const length = new Uint32Array(1);
const family = new Uint16Array(name.buffer, 0, 1);

/** Port and address as 18 bytes in hexadecimal digits, IPv4 as its mapped form; of a `sockaddr`. */
function keyOfName(): string | undefined {
  const port = name.subarray(2, 4).toHex();
  if (family[0] === AF_INET) return `${port}${MAPPED}${name.subarray(4, 8).toHex()}`;
  if (family[0] === AF_INET6) return port + name.subarray(8, 24).toHex();
  return undefined;
}

const MAPPED = "0".repeat(20) + "ffff";

/** The same of an address as the runtime writes it. */
function keyOf({ hostname, port }: Endpoint): string {
  const two = (n: number) => n.toString(16).padStart(2, "0");
  const four = (text: string) => text.padStart(4, "0");
  const groups = (text: string): string =>
    text.split(":").filter((group) => group !== "").map((group) =>
      group.includes(".") ? group.split(".").map((n) => two(Number(n))).join("") : four(group)
    ).join("");
  const start = four(port.toString(16));
  if (!hostname.includes(":")) return start + MAPPED + groups(hostname);
  const [head = "", tail] = hostname.replace(/%.*$/, "").toLowerCase().split("::");
  if (tail === undefined) return start + groups(head);
  const [front, back] = [groups(head), groups(tail)];
  return start + front + "0".repeat(Math.max(0, 32 - front.length - back.length)) + back;
}

/**
 * Ends this process's connections from `peers` to its own port. It looks at every descriptor once,
 * so give many at a time.
 *
 * @returns how many were found
 */
export function hangUp(port: number, peers: Iterable<Endpoint>): number {
  let found = 0;
  for (const fd of connectionFds(port, peers)) {
    socketCalls()!.shutdown(fd, SHUT_RDWR);
    found += 1;
  }
  return found;
}

/** Descriptors of this process's connections between `peers` and its own port. */
export function* connectionFds(port: number, peers: Iterable<Endpoint>): Iterable<number> {
  const calls = socketCalls();
  const wanted = new Set([...peers].map(keyOf));
  if (calls === undefined || wanted.size === 0) return;
  for (const fd of socketFds()) {
    length[0] = name.length;
    if (calls.getpeername(fd, name, length) !== 0) continue;
    const key = keyOfName();
    if (key === undefined || !wanted.has(key)) continue;
    length[0] = name.length;
    if (calls.getsockname(fd, name, length) !== 0) continue;
    if ((name[2]! << 8 | name[3]!) !== port) continue;
    yield fd;
  }
}
