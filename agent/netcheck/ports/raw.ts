/**
 * Packets of our own from WireGuard's port while WireGuard has it. A raw socket sends UDP packets with
 * that source port, so that the NAT takes them for WireGuard's; of what arrives a filter in the
 * kernel gives it a copy of STUN answers and path probes. WireGuard sees those as well and drops
 * them, as they are no message of its protocol.
 *
 * One socket for each IP version and all buffers live as long as the port. While answers are awaited
 * one call waits on one thread of the runtime's pool, for both; otherwise none does.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { errnoText, LINUX, type LinuxSockets, linuxSockets } from "../../platform/mod.ts";
import { type Family, type StunPort, type Take, Unreachable } from "./types.ts";
import {
  addressBytes,
  addressText,
  filterFor,
  ipv4Source,
  locateUdp,
  SOCKADDR_LENGTH,
  sockaddrAddress,
  UDP_HEADER,
  writeSockaddr,
  writeUdp,
} from "./packet.ts";

const log = getLogger(["nexd", "netcheck"]);

/** Room for a received packet, bytes: STUN answers are far smaller. */
const ROOM = 2048;
/** Room for a request, bytes. */
const MESSAGE_ROOM = 512;
/** What the kernel may keep for us, bytes: a few answers, and no flood. */
const RECEIVE_BUFFER = 32 * 1024;
/** Packets read in one go; more can only be a flood, and other work has to go on. */
const BATCH = 64;
/** Longest wait of one call, ms: whatever else fails, no thread is lost for long. */
const WAIT_LIMIT = 5_000;

/** A raw socket cannot be had here; the message is fit for status. */
export class RawRefusal extends Error {
  override readonly name = "RawRefusal";
}

/** How to open one. */
export interface RawOptions {
  /** WireGuard's UDP port. */
  port: number;
  /** Firewall mark of the packets sent, where WireGuard's have one. */
  mark?: number;
  /** The system's calls, for tests. */
  calls?: LinuxSockets | undefined;
}

/**
 * Opens raw sockets for both IP versions, as far as the host has them.
 *
 * @throws {RawRefusal} where neither can be had
 */
export function openRawPort(options: RawOptions): StunPort {
  const calls = "calls" in options ? options.calls : linuxSockets();
  if (calls === undefined) {
    throw new RawRefusal(
      Deno.build.os === "linux"
        ? "the runtime may not call the system's library (--allow-ffi)"
        : `not possible on ${Deno.build.os}`,
    );
  }
  return new RawPort(options, calls);
}

class RawPort implements StunPort {
  readonly port: number;
  readonly refused: Partial<Record<Family, string>> = {};
  readonly #calls: LinuxSockets;
  readonly #mark: number | undefined;
  readonly #sockets = new Map<Family, number>();
  readonly #wake: number;
  readonly #packet = new Uint8Array(ROOM);
  readonly #out = new Uint8Array(UDP_HEADER + MESSAGE_ROOM);
  readonly #name = new Uint8Array(SOCKADDR_LENGTH[6]);
  readonly #nameLength = new Uint32Array(1);
  readonly #polled: Uint8Array<ArrayBuffer>;
  #listening: Promise<void> | undefined;
  #quiet = true;

  constructor({ port, mark }: RawOptions, calls: LinuxSockets) {
    this.port = port;
    this.#calls = calls;
    this.#mark = mark;
    for (const family of [4, 6] as const) {
      const opened = this.#open(family);
      if (typeof opened === "number") this.#sockets.set(family, opened);
      else this.refused[family] = opened;
    }
    if (this.#sockets.size === 0) {
      throw new RawRefusal(`CAP_NET_RAW is needed: ${this.refused[4]}`);
    }
    this.#wake = calls.eventfd(0, LINUX.EFD_CLOEXEC | LINUX.EFD_NONBLOCK);
    if (this.#wake < 0) {
      const reason = errnoText(calls.errno());
      this.#closeSockets();
      throw new RawRefusal(`no eventfd: ${reason}`);
    }
    // struct pollfd { i32 fd; i16 events, revents }
    const fds = [...this.#sockets.values(), this.#wake];
    this.#polled = new Uint8Array(fds.length * 8);
    const view = new DataView(this.#polled.buffer);
    fds.forEach((fd, i) => {
      view.setInt32(i * 8, fd, true);
      view.setInt16(i * 8 + 4, LINUX.POLLIN, true);
    });
  }

  get families(): readonly Family[] {
    return [...this.#sockets.keys()];
  }

  send(family: Family, message: Uint8Array, address: string, port: number): void {
    const calls = this.#calls, fd = this.#sockets.get(family);
    if (fd === undefined) throw new Unreachable(this.refused[family] ?? "no socket");
    if (message.length > MESSAGE_ROOM) throw new RangeError(`${message.length} bytes are too many`);
    const to = addressBytes(address);
    const ports = { from: this.port, to: port };
    // The kernel fills in the checksum of IPv6. That of IPv4 covers our address: it is asked for
    // each time, because it changes with the routes.
    const length = family === 4
      ? writeUdp(this.#out, ports, message, { from: this.#sourceFor(to, port), to })
      : writeUdp(this.#out, ports, message);
    writeSockaddr(this.#name, family, to, 0);
    const size = SOCKADDR_LENGTH[family];
    if (calls.sendto(fd, this.#out, BigInt(length), LINUX.MSG_DONTWAIT, this.#name, size) < 0n) {
      throw this.#trouble();
    }
  }

  listen(take: Take, failed: (reason: string) => void): void {
    if (this.#listening !== undefined) throw new Error("it listens already");
    this.#quiet = false;
    this.#drain(() => {}); // what came late belongs to nobody
    this.#listening = this.#receive(take, failed);
  }

  async quiet(): Promise<void> {
    if (this.#listening === undefined) return;
    this.#quiet = true;
    const one = new Uint8Array(8);
    one[0] = 1;
    this.#calls.write(this.#wake, one, 8n);
    await this.#listening;
    this.#listening = undefined;
    this.#calls.read(this.#wake, new Uint8Array(8), 8n);
  }

  async close(): Promise<void> {
    await this.quiet();
    if (this.#sockets.size === 0) return;
    this.#closeSockets();
    this.#calls.close(this.#wake);
  }

  /** The new socket, or why there is none. */
  #open(family: Family): number | string {
    const calls = this.#calls;
    const domain = family === 4 ? LINUX.AF_INET : LINUX.AF_INET6;
    const type = LINUX.SOCK_RAW | LINUX.SOCK_CLOEXEC | LINUX.SOCK_NONBLOCK;
    const fd = calls.socket(domain, type, LINUX.IPPROTO_UDP);
    if (fd < 0) return errnoText(calls.errno());
    // The filter comes first: what arrives before it is there would pass.
    const program = filterFor(family, this.port);
    const fprog = new Uint8Array(16); // struct sock_fprog { u16 len; struct sock_filter *filter }
    const view = new DataView(fprog.buffer);
    view.setUint16(0, program.length / 8, true);
    view.setBigUint64(8, calls.memmove(program, program, 0n), true);
    const ok = calls.setsockopt(fd, LINUX.SOL_SOCKET, LINUX.SO_ATTACH_FILTER, fprog, 16) === 0 &&
      (family === 4 || this.#set(fd, LINUX.IPPROTO_IPV6, LINUX.IPV6_CHECKSUM, 6)) &&
      this.#setMark(fd);
    if (ok) {
      this.#set(fd, LINUX.SOL_SOCKET, LINUX.SO_RCVBUF, RECEIVE_BUFFER);
      return fd;
    }
    const reason = errnoText(calls.errno());
    calls.close(fd);
    return reason;
  }

  #set(fd: number, level: number, name: number, value: number): boolean {
    const bytes = new Uint8Array(new Int32Array([value]).buffer);
    return this.#calls.setsockopt(fd, level, name, bytes, 4) === 0;
  }

  #setMark(fd: number): boolean {
    return this.#mark === undefined || this.#set(fd, LINUX.SOL_SOCKET, LINUX.SO_MARK, this.#mark);
  }

  /** The IPv4 address that a packet starts from: a socket that is aimed, but sends nothing, knows. */
  #sourceFor(to: Uint8Array, port: number): Uint8Array {
    const calls = this.#calls;
    const fd = calls.socket(LINUX.AF_INET, LINUX.SOCK_DGRAM | LINUX.SOCK_CLOEXEC, 0);
    if (fd < 0) throw this.#trouble();
    try {
      writeSockaddr(this.#name, 4, to, port);
      this.#nameLength[0] = SOCKADDR_LENGTH[4];
      const length = new Uint8Array(this.#nameLength.buffer);
      if (
        !this.#setMark(fd) || calls.connect(fd, this.#name, SOCKADDR_LENGTH[4]) !== 0 ||
        calls.getsockname(fd, this.#name, length) !== 0
      ) throw this.#trouble();
      return sockaddrAddress(this.#name, 4).slice();
    } finally {
      calls.close(fd);
    }
  }

  #trouble(): Error {
    const errno = this.#calls.errno();
    const lost: number[] = [LINUX.ENETUNREACH, LINUX.EHOSTUNREACH, LINUX.EADDRNOTAVAIL];
    return new (lost.includes(errno) ? Unreachable : Error)(errnoText(errno));
  }

  async #receive(take: Take, failed: (reason: string) => void): Promise<void> {
    const count = BigInt(this.#polled.length / 8);
    try {
      while (!this.#quiet) {
        const ready = await this.#calls.poll(this.#polled, count, WAIT_LIMIT);
        if (this.#quiet) return;
        if (ready > 0) this.#drain(take);
        // Interrupted by a signal, or the descriptors are not what they were: no tight loop.
        else if (ready < 0) await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } catch (error) {
      log.warn("raw socket: {error}", { error });
      failed(String(error));
    }
  }

  #drain(take: Take): void {
    for (const [family, fd] of this.#sockets) {
      for (let read = 0; read < BATCH; read++) {
        this.#nameLength[0] = this.#name.length;
        const length = Number(this.#calls.recvfrom(
          fd,
          this.#packet,
          BigInt(this.#packet.length),
          LINUX.MSG_DONTWAIT,
          this.#name,
          new Uint8Array(this.#nameLength.buffer),
        ));
        if (length < 0) break;
        const found = locateUdp(this.#packet, length, family, this.port);
        if (found === undefined) continue;
        const from = family === 4 ? ipv4Source(this.#packet) : sockaddrAddress(this.#name, 6);
        take(this.#packet.subarray(found.start, found.end), addressText(from), found.from);
      }
    }
  }

  #closeSockets(): void {
    for (const fd of this.#sockets.values()) this.#calls.close(fd);
    this.#sockets.clear();
  }
}
