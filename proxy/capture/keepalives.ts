/**
 * Keepalives of WireGuard, gathered by the system until somebody asks for them.
 *
 * A thousand idle peers are a hundred packets a second that say nothing, and each would wake the
 * process: far more than the rest of its way costs. So peers' sockets refuse keepalives by a filter,
 * and one raw socket, of which nobody is told, keeps a copy of them. The first packet of a session is
 * none of these, although it may be as short: the other side sends nothing before it.
 */
import { type BatchCalls, HEADER, MSG_DONTWAIT, pinned, rawSocket, writePointer } from "./libc.ts";
import type { CaptureHandler } from "./types.ts";

/** Length of a keepalive: WireGuard's data without any. Bytes. */
const LENGTH = 32;

/** Bytes of an IPv4 header without options, and of a UDP header. */
const IP = 20, UDP = 8;

/** Keepalives read with one call, and calls in one go. */
const BATCH = 64, MAX_BATCHES = 64;

/** Bytes for a packet with its headers; longer than one, so that its view may be rounded up. */
const SLOT = 128;

const BPF = { ldw: 0x20, ldh: 0x28, ldb: 0x30, jeq: 0x15, ret: 0x06 };

/** One instruction; `yes` and `no` name where a comparison goes on: the next one when left out. */
type Instruction = [code: number, k: number, yes?: string | undefined, no?: string];

/**
 * The program (struct sock_filter, bpf(4)) that keeps keepalives (`raw`: of one port) or all but them.
 * A UDP socket's sees packets from their UDP header on, a raw one's from the IP header.
 */
function filter(raw?: { port: number }): Uint8Array<ArrayBuffer> {
  const at = raw === undefined ? 0 : IP;
  const own: Instruction[] = raw === undefined ? [] : [
    [BPF.ldb, 0],
    [BPF.jeq, 0x45, undefined, "other"],
    [BPF.ldb, 16],
    [BPF.jeq, 127, undefined, "other"],
    [BPF.ldh, IP + 2],
    [BPF.jeq, raw.port, undefined, "other"],
  ];
  const lines: Instruction[] = [
    ...own,
    [BPF.ldh, at + 4],
    [BPF.jeq, UDP + LENGTH, undefined, "other"],
    [BPF.ldw, at + UDP],
    [BPF.jeq, 0x04000000, undefined, "other"],
    // The counter, 64 bits: 0 is the first of the session.
    [BPF.ldw, at + UDP + 8],
    [BPF.jeq, 0, undefined, "keepalive"],
    [BPF.ldw, at + UDP + 12],
    [BPF.jeq, 0, "other", "keepalive"],
    [BPF.ret, raw === undefined ? 0 : 0xffff], // keepalive
    [BPF.ret, raw === undefined ? 0xffff : 0], // other
  ];
  const places: Record<string, number> = { keepalive: lines.length - 2, other: lines.length - 1 };
  const { bytes } = pinned(lines.length * 8);
  const view = new DataView(bytes.buffer);
  lines.forEach(([code, k, yes, no], i) => {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, yes === undefined ? 0 : places[yes]! - i - 1);
    view.setUint8(i * 8 + 3, no === undefined ? 0 : places[no]! - i - 1);
    view.setUint32(i * 8 + 4, k, true);
  });
  return bytes;
}

/** What a socket of a peer is known by. */
interface Owner<T> {
  readonly tag: T;
}

/** See the top of the file. */
export class Keepalives<T> {
  readonly #calls: BatchCalls;
  readonly #handler: Pick<CaptureHandler<T>, "packet" | "batchEnd">;
  /** By the last three bytes of the address. */
  readonly #owners = new Map<number, Owner<T>>();
  /** Undefined: not opened yet; null: cannot be had, and every keepalive wakes the process. */
  #raw: ReturnType<typeof rawSocket> | null;
  #openedFor = 0;
  #refusing: Uint8Array<ArrayBuffer> | undefined;
  readonly #slots = pinned(BATCH * SLOT);
  readonly #vectors = pinned(BATCH * 16);
  readonly #headers = pinned(BATCH * HEADER.size);
  readonly #lengths = new Uint32Array(this.#headers.bytes.buffer);
  readonly #views: Uint8Array[] = [];

  constructor(handler: Pick<CaptureHandler<T>, "packet" | "batchEnd">, calls: BatchCalls) {
    this.#handler = handler;
    this.#calls = calls;
    const vectors = new Uint32Array(this.#vectors.bytes.buffer);
    for (let i = 0; i < BATCH; i++) {
      const start = i * SLOT + IP + UDP;
      writePointer(vectors, i * 4, this.#slots.address + i * SLOT);
      vectors[i * 4 + 2] = SLOT;
      writePointer(
        this.#lengths,
        (i * HEADER.size + HEADER.vector) / 4,
        this.#vectors.address + i * 16,
      );
      this.#lengths[(i * HEADER.size + HEADER.vectorLength) / 4] = 1;
      this.#views.push(this.#slots.bytes.subarray(start, start + LENGTH));
    }
  }

  /** Keepalives for the socket `fd`, bound to `address` and `port`, wake nobody from now on. */
  add(fd: number, address: string, port: number, owner: Owner<T>): void {
    if (this.#raw === undefined) this.#raw = this.#open(port) ?? null;
    if (this.#raw === null || port !== this.#openedFor) return;
    this.#owners.set(keyOf(address), owner);
    if (!this.#raw.attach(fd, this.#refusing ??= filter())) this.#owners.delete(keyOf(address));
  }

  /** The socket of this address is closed. */
  remove(address: string, owner: Owner<T>): void {
    const key = keyOf(address);
    if (this.#owners.get(key) === owner) this.#owners.delete(key);
  }

  #open(port: number): ReturnType<typeof rawSocket> {
    this.#openedFor = port;
    return rawSocket(filter({ port }));
  }

  /** Hands on what has come from `wireguardPort` since the last time. */
  collect(wireguardPort: number): void {
    if (!this.#raw) return;
    const bytes = this.#slots.bytes;
    let some = false;
    for (let batch = 0; batch < MAX_BATCHES; batch++) {
      const { fd } = this.#raw;
      const count = this.#calls.recvmmsg(fd, this.#headers.bytes, BATCH, MSG_DONTWAIT);
      for (let i = 0; i < count; i++) {
        const at = i * SLOT;
        const length = this.#lengths[(i * HEADER.size + HEADER.length) / 4]!;
        if (length !== IP + UDP + LENGTH) continue;
        if ((bytes[at + IP]! << 8 | bytes[at + IP + 1]!) !== wireguardPort) continue;
        if (bytes[at + 12] !== 127) continue;
        // Other agents of this host have addresses too.
        const owner = this.#owners.get(
          bytes[at + 17]! << 16 | bytes[at + 18]! << 8 | bytes[at + 19]!,
        );
        if (owner === undefined) continue;
        this.#handler.packet(owner.tag, this.#views[i]!, LENGTH);
        some = true;
      }
      if (count < BATCH) break;
    }
    if (some) this.#handler.batchEnd();
  }

  /** Closes the raw socket. */
  close(): void {
    this.#raw?.close();
    this.#raw = null;
    this.#owners.clear();
  }
}

/** 127.a.b.c as a small number. */
function keyOf(address: string): number {
  const [, a, b, c] = address.split(".").map(Number);
  return a! << 16 | b! << 8 | c!;
}
