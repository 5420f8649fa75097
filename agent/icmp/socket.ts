/**
 * An ICMP socket of Linux: a datagram one where the kernel allows it to this group
 * (`net.ipv4.ping_group_range`), else a raw one, which needs CAP_NET_RAW.
 *
 * @module
 */
import { errnoText, LINUX, type LinuxSockets, linuxSockets } from "../platform/mod.ts";
import { answeredEcho, echoRequest, type Family, MARK, ROOM, sockaddr } from "./packet.ts";

const IPPROTO = { 4: 1, 6: 58 } as const;
const SO_BINDTODEVICE = 25;
/** ICMP_FILTER (raw(7)) and ICMP6_FILTER (RFC 3542): of what arrives we want echo replies only. */
const FILTER = { 4: { level: 255, name: 1 }, 6: { level: 58, name: 1 } } as const;
/** Longest wait of one call, ms: how late the end is noticed. */
const WAIT = 100;
const ENOKEY = 126, EDESTADDRREQ = 89;

/** Echoes over one IP version. Every method but `close` may be called at any time. */
export class IcmpSocket {
  readonly #calls: LinuxSockets;
  readonly #family: Family;
  readonly #fd: number;
  readonly #raw: boolean;
  readonly #id = crypto.getRandomValues(new Uint16Array(1))[0]!;
  readonly #mark = crypto.getRandomValues(new Uint8Array(MARK));
  readonly #waiting = new Map<number, (rttMs: number | undefined) => void>();
  readonly #sentAt = new Map<number, number>();
  #number = 0;
  #receiving: Promise<void> | undefined;
  #closed = false;

  private constructor(calls: LinuxSockets, family: Family, fd: number, raw: boolean) {
    this.#calls = calls;
    this.#family = family;
    this.#fd = fd;
    this.#raw = raw;
  }

  /** One for an IP version, bound to an interface; undefined where this process may not have it. */
  static open(
    family: Family,
    device: string | undefined,
    calls: LinuxSockets | undefined = linuxSockets(),
  ): IcmpSocket | undefined {
    if (calls === undefined) return undefined;
    const domain = family === 4 ? LINUX.AF_INET : LINUX.AF_INET6;
    for (const type of [LINUX.SOCK_DGRAM, LINUX.SOCK_RAW]) {
      const flags = LINUX.SOCK_CLOEXEC | LINUX.SOCK_NONBLOCK;
      const fd = calls.socket(domain, type | flags, IPPROTO[family]);
      if (fd < 0) continue;
      const raw = type === LINUX.SOCK_RAW;
      if (raw) filter(calls, fd, family);
      if (device === undefined || bindTo(calls, fd, device)) {
        return new IcmpSocket(calls, family, fd, raw);
      }
      calls.close(fd);
    }
    return undefined;
  }

  /**
   * One echo. Resolves with the round-trip time in ms, or undefined when the time is over.
   *
   * @throws Error with a short reason when the packet could not leave
   */
  async echo(
    address: string,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<number | undefined> {
    const number = this.#number = this.#number + 1 >>> 0;
    const packet = echoRequest(this.#family, {
      id: this.#id,
      sequence: number & 0xffff,
      mark: this.#mark,
      number,
    });
    const to = sockaddr(this.#family, address);
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const stop = () => resolve(undefined);
    const timer = setTimeout(stop, timeoutMs);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
    this.#waiting.set(number, resolve);
    this.#sentAt.set(number, performance.now());
    try {
      const size = BigInt(packet.length);
      const sent = this.#calls.sendto(this.#fd, packet, size, LINUX.MSG_DONTWAIT, to, to.length);
      if (sent < 0n) throw new Error(trouble(this.#calls.errno()));
      this.#receiving ??= this.#receive().finally(() => this.#receiving = undefined);
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
      this.#waiting.delete(number);
      this.#sentAt.delete(number);
    }
  }

  /** Ends it. What still waits gets no answer. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const resolve of this.#waiting.values()) resolve(undefined);
    await this.#receiving;
    this.#calls.close(this.#fd);
  }

  /** Takes answers for as long as somebody waits for one. */
  async #receive(): Promise<void> {
    const calls = this.#calls;
    const packet = new Uint8Array(ROOM);
    // struct pollfd { i32 fd; i16 events, revents }
    const polled = new Uint8Array(8);
    const view = new DataView(polled.buffer);
    view.setInt32(0, this.#fd, true);
    view.setInt16(4, LINUX.POLLIN, true);
    while (this.#waiting.size > 0 && !this.#closed) {
      await calls.poll(polled, 1n, WAIT);
      for (let i = 0; i < 64; i++) {
        const n = calls.recvfrom(this.#fd, packet, BigInt(ROOM), LINUX.MSG_DONTWAIT, null, null);
        if (n <= 0n) break;
        this.#take(packet.subarray(0, Number(n)));
      }
    }
  }

  #take(bytes: Uint8Array): void {
    const withHeader = this.#raw && this.#family === 4;
    const number = answeredEcho(this.#family, bytes, this.#mark, withHeader);
    if (number === undefined) return;
    const sentAt = this.#sentAt.get(number), resolve = this.#waiting.get(number);
    if (sentAt === undefined || resolve === undefined) return;
    this.#waiting.delete(number);
    resolve(performance.now() - sentAt);
  }
}

function bindTo(calls: LinuxSockets, fd: number, device: string): boolean {
  const name = new TextEncoder().encode(`${device}\0`);
  return calls.setsockopt(fd, LINUX.SOL_SOCKET, SO_BINDTODEVICE, name, name.length) === 0;
}

function filter(calls: LinuxSockets, fd: number, family: Family): void {
  // A set bit blocks its type.
  const blocked = new Uint32Array(family === 4 ? 1 : 8).fill(0xffffffff);
  const reply = family === 4 ? 0 : 129;
  blocked[reply >>> 5]! &= ~(1 << (reply & 31));
  const { level, name } = FILTER[family];
  calls.setsockopt(fd, level, name, new Uint8Array(blocked.buffer), blocked.byteLength);
}

function trouble(errno: number): string {
  if (errno === ENOKEY) return "WireGuard has no peer with this address";
  if (errno === EDESTADDRREQ) return "WireGuard knows no endpoint of this peer";
  return errnoText(errno);
}
