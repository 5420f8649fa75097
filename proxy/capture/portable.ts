/** The capture that needs nothing but the runtime: one call for each datagram. */
import { isOneDatagram } from "../../relay/net/mod.ts";
import {
  type Capture,
  CaptureDrops,
  type CaptureHandler,
  type CaptureSocket,
  MAX_DATAGRAM,
  MAX_UDP_PAYLOAD,
} from "./types.ts";

class PortableSocket<T> implements CaptureSocket {
  closed = false;
  /** Done when nothing reads any more: only then does the system let go of the address. */
  reading: Promise<void> = Promise.resolve();

  constructor(
    readonly address: string,
    readonly tag: T,
    readonly conn: Deno.DatagramConn,
    readonly onClose: (socket: PortableSocket<T>) => void,
  ) {}

  close(): Promise<void> {
    if (!this.closed) {
      this.closed = true;
      this.onClose(this);
      this.conn.close();
    }
    return this.reading;
  }
}

/** A packet on its way to WireGuard. */
interface Waiting<T> {
  socket: PortableSocket<T>;
  data: Uint8Array;
}

/** See {@linkcode Capture}. Allocates for each packet, as the runtime's calls do. */
export class PortableCapture<T> implements Capture<T> {
  readonly kind = "portable";
  readonly drops: CaptureDrops = new CaptureDrops();
  readonly #handler: CaptureHandler<T>;
  readonly #sockets = new Set<PortableSocket<T>>();
  #wireguard: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port: 0 };
  #waiting: Waiting<T>[] = [];
  #flushing: Promise<void> | undefined;
  #batchScheduled = false;

  constructor(handler: CaptureHandler<T>) {
    this.#handler = handler;
  }

  open(address: string, port: number, tag: T): CaptureSocket {
    const conn = Deno.listenDatagram({ transport: "udp", hostname: address, port });
    const socket = new PortableSocket(address, tag, conn, (s) => this.#sockets.delete(s));
    this.#sockets.add(socket);
    socket.reading = this.#read(socket);
    return socket;
  }

  setWireguardPort(port: number): void {
    this.#wireguard = { transport: "udp", hostname: "127.0.0.1", port };
  }

  async #read(socket: PortableSocket<T>): Promise<void> {
    // One byte more than allowed shows a datagram that was cut.
    const buf = new Uint8Array(MAX_DATAGRAM + 1);
    while (true) {
      let data: Uint8Array;
      let from: Deno.NetAddr;
      try {
        [data, from] = await socket.conn.receive(buf) as [Uint8Array, Deno.NetAddr];
      } catch (error) {
        if (socket.closed) return;
        // WireGuard was away for a moment, or the datagram was too large.
        if (isOneDatagram(error)) continue;
        void socket.close();
        this.#handler.failed(socket.tag, error as Error);
        return;
      }
      if (socket.closed) return;
      if (from.port !== this.#wireguard.port || !from.hostname.startsWith("127.")) {
        this.drops.wrong_source++;
      } else if (data.length > MAX_DATAGRAM) this.drops.too_large++;
      else if (data.length === 0) this.drops.empty++;
      else {
        this.#handler.packet(socket.tag, data, data.length);
        this.#scheduleBatchEnd();
      }
    }
  }

  /** Several datagrams may arrive in one turn of the event loop; they make one batch. */
  #scheduleBatchEnd(): void {
    if (this.#batchScheduled) return;
    this.#batchScheduled = true;
    setImmediate(() => {
      this.#batchScheduled = false;
      this.#handler.batchEnd();
    });
  }

  send(socket: CaptureSocket, buf: Uint8Array, offset: number, length: number): void {
    const own = socket as PortableSocket<T>;
    if (length > MAX_UDP_PAYLOAD) this.drops.too_large++;
    else if (length === 0) this.drops.empty++;
    else if (own.closed || this.#wireguard.port === 0) this.drops.send_error++;
    else this.#waiting.push({ socket: own, data: buf.subarray(offset, offset + length) });
  }

  flush(): Promise<void> | undefined {
    if (this.#waiting.length === 0) return this.#flushing;
    return this.#flushing ??= this.#sendAll();
  }

  /** One after the other: calls in flight together may overtake each other. */
  async #sendAll(): Promise<void> {
    let batch: Waiting<T>[];
    while ((batch = this.#waiting).length > 0) {
      this.#waiting = [];
      for (const { socket, data } of batch) {
        try {
          await socket.conn.send(data, this.#wireguard);
        } catch {
          this.drops.send_error++;
        }
      }
    }
    this.#flushing = undefined;
  }

  collect(): void {}

  async close(): Promise<void> {
    await Promise.all([...this.#sockets].map((socket) => socket.close()));
  }
}
