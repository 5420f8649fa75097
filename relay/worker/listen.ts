/**
 * Opening the relay's TCP port.
 *
 * Every listener shares the port (`reusePort`): the workers do, a renewed certificate needs a second
 * listener, and so does a replacement relay. That would also let two relays that know nothing of each
 * other share one, each losing half its clients; so the port is first claimed without sharing.
 */
import { type AlpnChallenge, openAlpnGate } from "../cert/mod.ts";
import { RelayError } from "../errors.ts";
import {
  isDualStack,
  newSocketFd,
  setNoDelayOnListener,
  setTcpKeepAlive,
  setTcpUserTimeout,
  socketFds,
} from "../net/mod.ts";
import { type Acceptor, BothListeners } from "./both.ts";
import type { ListenAddress, ServedCertificate, SocketTimes } from "./config.ts";

/** What a listener is opened with beside its address. */
export interface ListenOptions {
  /** Undefined: plain HTTP. */
  certificate: ServedCertificate | undefined;
  /** Answered beside everything else. */
  challenge?: AlpnChallenge | undefined;
  times: SocketTimes;
}

/** Only this: DERP cannot take over a stream of HTTP/2. Clients of DERP offer nothing. */
const ALPN = ["http/1.1"];

/**
 * True when nobody listens on the address now.
 *
 * @throws RelayError when nobody ever could: no such address, no permission
 */
export function isFree(addr: ListenAddress): boolean {
  if (addr.port === 0) return true;
  try {
    onEveryAddress(addr, "--addr", (hostname) => Deno.listen({ ...addr, hostname })).close();
    return true;
  } catch (error) {
    if (error instanceof PortInUse) return false;
    throw error;
  }
}

/**
 * Opens the port, shared with whoever of this user shares it too.
 *
 * @throws RelayError naming the address and the flag
 */
export function listen(addr: ListenAddress, options: ListenOptions): Acceptor {
  const open = (hostname: string, port: number) => {
    const before = socketFds();
    const listener = openOne({ hostname, port }, options);
    const fd = newSocketFd(before, { port: (listener.addr as Deno.NetAddr).port });
    if (fd !== undefined) {
      const { userTimeoutMs, keepAliveMs } = options.times;
      setNoDelayOnListener(fd);
      if (userTimeoutMs > 0) setTcpUserTimeout(fd, userTimeoutMs);
      if (keepAliveMs > 0) setTcpKeepAlive(fd, keepAliveMs);
    }
    return { listener, sixOnly: hostname === "::" && fd !== undefined && !isDualStack(fd) };
  };
  const { listener, sixOnly } = onEveryAddress(addr, "--addr", (host) => open(host, addr.port));
  if (!sixOnly || addr.hostname !== "") return listener;
  // This system keeps IPv6 wildcards to IPv6.
  const { port } = listener.addr as Deno.NetAddr;
  try {
    return new BothListeners(listener, open("0.0.0.0", port).listener);
  } catch (error) {
    listener.close();
    throw cannotListen({ hostname: "0.0.0.0", port }, "--addr", error);
  }
}

function openOne(
  addr: ListenAddress,
  { certificate, challenge }: ListenOptions,
): Acceptor {
  const where = { ...addr, reusePort: true };
  if (certificate === undefined) {
    return challenge === undefined ? Deno.listen(where) : openAlpnGate({ ...where, challenge });
  }
  const tls = { cert: certificate.chain, key: certificate.key, alpnProtocols: ALPN };
  return challenge === undefined
    ? Deno.listenTls({ ...where, ...tls })
    : openAlpnGate({ ...where, challenge, tls });
}

/** Opens something on an address; an empty one is every address of both families where it can be. */
export function onEveryAddress<T>(
  addr: ListenAddress,
  flag: string,
  open: (hostname: string) => T,
): T {
  const hosts = addr.hostname === "" ? ["::", "0.0.0.0"] : [addr.hostname];
  for (const host of hosts) {
    try {
      return open(host);
    } catch (error) {
      const noIpv6 = host === "::" && !(error instanceof Deno.errors.AddrInUse) &&
        !(error instanceof Deno.errors.PermissionDenied);
      if (!noIpv6) throw cannotListen(addr, flag, error);
    }
  }
  throw cannotListen(addr, flag, undefined);
}

/** Another program has the port. */
export class PortInUse extends RelayError {}

/** The error of a port that another program has. */
export function portInUse(addr: ListenAddress, flag: string): PortInUse {
  return new PortInUse(
    `${prefix(addr)}: port in use; stop the other server or choose another ${flag}`,
  );
}

function prefix({ hostname, port }: ListenAddress): string {
  return `Cannot listen on ${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

function cannotListen(addr: ListenAddress, flag: string, error: unknown): RelayError {
  const what = prefix(addr);
  if (error instanceof Deno.errors.AddrInUse) return portInUse(addr, flag);
  if (error instanceof Deno.errors.PermissionDenied) {
    return new RelayError(
      `${what}: no permission; run as root for a port below 1024 or choose another ${flag}`,
    );
  }
  if (error instanceof Deno.errors.NotCapable) {
    return new RelayError(`${what}: the runtime may not; start it with --allow-net`);
  }
  if (error instanceof Deno.errors.InvalidData) {
    return new RelayError(`${what}: certificate or key unusable; check the files in --certdir`);
  }
  const reason = error === undefined || error instanceof Deno.errors.AddrNotAvailable
    ? "this host has no such address"
    : "the name has no address";
  return new RelayError(`${what}: ${reason}; choose another ${flag}`);
}
