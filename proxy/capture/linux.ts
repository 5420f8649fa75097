/**
 * The fast capture of Linux: the runtime tells when a socket has something, and then libc empties
 * it in batches on the same descriptor.
 */
import { datagramFd, nextFd, setReceiveBuffer } from "../../relay/net/mod.ts";
import { BacklogGauge } from "./backlog.ts";
import { BatchSender, type SendingSocket } from "./batch_sender.ts";
import { Keepalives } from "./keepalives.ts";
import { type BatchCalls, HEADER, MSG_DONTWAIT, MSG_TRUNC, pinned, writePointer } from "./libc.ts";
import { Room } from "./room.ts";
import {
  type Capture,
  CaptureDrops,
  type CaptureHandler,
  type CaptureSocket,
  MAX_DATAGRAM,
  RECEIVE_BUFFER,
} from "./types.ts";

/** Datagrams read with one call. */
const BATCH = 64;

/** Batches read from one socket before the others have their turn. */
const MAX_BATCHES = 4;

/** Views of a slot differ by this much; see CaptureHandler.packet. Divides MAX_DATAGRAM. */
const VIEW_STEP = 64;

class LinuxSocket<T> implements CaptureSocket, SendingSocket {
  first = -1;
  last = -1;
  memory = 0;
  /** Done when nothing reads any more: only then does the system let go of the address. */
  reading: Promise<void> = Promise.resolve();

  constructor(
    readonly address: string,
    readonly tag: T,
    readonly conn: Deno.DatagramConn,
    public fd: number,
    readonly onClose: (socket: LinuxSocket<T>) => void,
  ) {}

  close(): Promise<void> {
    if (this.fd >= 0) {
      this.fd = -1;
      this.onClose(this);
      this.conn.close();
    }
    return this.reading;
  }
}

/** See {@linkcode Capture}. Allocates nothing for a packet, a little for each wake-up. */
export class LinuxCapture<T> implements Capture<T> {
  readonly kind = "linux";
  readonly drops: CaptureDrops = new CaptureDrops();
  readonly #calls: BatchCalls;
  readonly #handler: CaptureHandler<T>;
  readonly #sockets = new Set<LinuxSocket<T>>();
  readonly #gauge: BacklogGauge;
  readonly #sender: BatchSender;
  readonly #keepalives: Keepalives<T>;
  #port = 0;
  // One batch of slots serves every socket: it is read and passed on without a pause.
  readonly #slots = pinned(BATCH * MAX_DATAGRAM);
  readonly #names = pinned(BATCH * 16);
  readonly #vectors = pinned(BATCH * 16);
  readonly #headers = pinned(BATCH * HEADER.size);
  readonly #headerWords = new Uint32Array(this.#headers.bytes.buffer);
  readonly #views: (Uint8Array | undefined)[] = new Array(BATCH * (MAX_DATAGRAM / VIEW_STEP + 1));

  constructor(handler: CaptureHandler<T>, calls: BatchCalls) {
    this.#handler = handler;
    this.#calls = calls;
    this.#gauge = new BacklogGauge(calls);
    this.#keepalives = new Keepalives(handler, calls);
    this.#sender = new BatchSender(calls, this.drops, new Room(this.#gauge));
    const vectors = new Uint32Array(this.#vectors.bytes.buffer);
    for (let i = 0; i < BATCH; i++) {
      writePointer(vectors, i * 4, this.#slots.address + i * MAX_DATAGRAM);
      vectors[i * 4 + 2] = MAX_DATAGRAM;
      const word = i * HEADER.size / 4;
      writePointer(this.#headerWords, word + HEADER.name / 4, this.#names.address + i * 16);
      this.#headerWords[word + HEADER.nameLength / 4] = 16;
      writePointer(this.#headerWords, word + HEADER.vector / 4, this.#vectors.address + i * 16);
      this.#headerWords[word + HEADER.vectorLength / 4] = 1;
    }
  }

  open(address: string, port: number, tag: T): CaptureSocket {
    const guess = nextFd();
    const conn = Deno.listenDatagram({ transport: "udp", hostname: address, port });
    const fd = datagramFd(address, (conn.addr as Deno.NetAddr).port, guess);
    if (fd === undefined) {
      conn.close();
      throw new Error(`Cannot find the descriptor of ${address}:${port}`);
    }
    setReceiveBuffer(fd, RECEIVE_BUFFER);
    const socket = new LinuxSocket(address, tag, conn, fd, (s) => this.#closed(s));
    this.#sockets.add(socket);
    this.#keepalives.add(fd, address, port, socket);
    socket.reading = this.#read(socket);
    return socket;
  }

  #closed(socket: LinuxSocket<T>): void {
    this.#sockets.delete(socket);
    this.#keepalives.remove(socket.address, socket);
  }

  collect(): void {
    this.#keepalives.collect(this.#port);
  }

  setWireguardPort(port: number): void {
    this.#port = port;
    this.#sender.setPort(port);
    this.#gauge.setPort(port);
  }

  async #read(socket: LinuxSocket<T>): Promise<void> {
    // Of its own: several sockets may be ready before any of them is looked at.
    const buf = new Uint8Array(MAX_DATAGRAM + 1);
    while (true) {
      let data: Uint8Array;
      let from: Deno.NetAddr;
      try {
        [data, from] = await socket.conn.receive(buf) as [Uint8Array, Deno.NetAddr];
      } catch (error) {
        if (socket.fd < 0) return;
        void socket.close();
        this.#handler.failed(socket.tag, error as Error);
        return;
      }
      if (socket.fd < 0) return;
      if (from.port !== this.#port || !from.hostname.startsWith("127.")) {
        this.drops.wrong_source++;
      } else if (data.length > MAX_DATAGRAM) this.drops.too_large++;
      else if (data.length === 0) this.drops.empty++;
      else this.#handler.packet(socket.tag, data, data.length);
      this.#drain(socket);
      this.#handler.batchEnd();
    }
  }

  /** Reads what else is there, up to a fair share. */
  #drain(socket: LinuxSocket<T>): void {
    for (let batch = 0; batch < MAX_BATCHES && socket.fd >= 0; batch++) {
      const count = this.#calls.recvmmsg(socket.fd, this.#headers.bytes, BATCH, MSG_DONTWAIT);
      for (let i = 0; i < count; i++) this.#received(socket, i);
      if (count < BATCH) return;
    }
  }

  #received(socket: LinuxSocket<T>, slot: number): void {
    const word = slot * HEADER.size / 4;
    const length = this.#headerWords[word + HEADER.length / 4]!;
    const name = slot * 16;
    const names = this.#names.bytes;
    if (
      (names[name + 2]! << 8 | names[name + 3]!) !== this.#port || names[name + 4] !== 127
    ) this.drops.wrong_source++;
    else if ((this.#headerWords[word + HEADER.flags / 4]! & MSG_TRUNC) !== 0) {
      this.drops.too_large++;
    } else if (length === 0) this.drops.empty++;
    else if (socket.fd >= 0) {
      this.#handler.packet(socket.tag, this.#view(slot, length), length);
    }
  }

  /** A view of a slot of at least `length` bytes, made once for each slot and rounded length. */
  #view(slot: number, length: number): Uint8Array {
    const steps = (length + VIEW_STEP - 1) / VIEW_STEP | 0;
    const index = slot * (MAX_DATAGRAM / VIEW_STEP + 1) + steps;
    const start = slot * MAX_DATAGRAM;
    return this.#views[index] ??= this.#slots.bytes.subarray(start, start + steps * VIEW_STEP);
  }

  send(socket: CaptureSocket, buf: Uint8Array, offset: number, length: number): void {
    this.#sender.add(socket as LinuxSocket<T>, buf, offset, length);
  }

  flush(): undefined {
    this.#sender.flush();
  }

  async close(): Promise<void> {
    this.#gauge.close();
    this.#keepalives.close();
    await Promise.all([...this.#sockets].map((socket) => socket.close()));
  }
}
