/**
 * What both captures offer: UDP sockets that face WireGuard, one for each relayed peer.
 *
 * WireGuard sends a peer's packets to the peer's loopback address; what the peer sent goes back
 * from exactly that address to 127.0.0.1 and WireGuard's port. Sockets are never connected, and
 * senders are told by port only: WireGuard may answer from any loopback address.
 */

/** A datagram longer than this is dropped; jumbo frames fit. Bytes. */
export const MAX_DATAGRAM = 9216;

/** UDP over IPv4 carries no more. Bytes. */
export const MAX_UDP_PAYLOAD = 65_507;

/** Receive buffer asked for on each socket: a flood of one peer must not lose a burst. Bytes. */
export const RECEIVE_BUFFER = 4 << 20;

/** Who is told about datagrams. Called synchronously; `T` is what the socket was opened with. */
export interface CaptureHandler<T> {
  /**
   * A datagram from WireGuard for the peer of `tag`.
   *
   * `data` starts with it and may be up to 63 bytes longer than `length`. The memory is used again
   * when the call returns.
   */
  packet(tag: T, data: Uint8Array, length: number): void;
  /** No more datagrams are there right now: time to pass on what came. */
  batchEnd(): void;
  /** The socket broke and is closed; nothing more comes from it. */
  failed(tag: T, error: Error): void;
}

/** An open socket. Opaque to the user of a {@linkcode Capture}. */
export interface CaptureSocket {
  /** The peer's loopback address. */
  readonly address: string;
  /**
   * Closes the socket: its handler is not called from now on, and when the promise is done the
   * address can be bound again. Closing twice is fine.
   */
  close(): Promise<void>;
}

/** Datagrams that were thrown away, by reason. */
export class CaptureDrops {
  /** Not from WireGuard's port on loopback. */
  wrong_source = 0;
  /** Longer than {@linkcode MAX_DATAGRAM}, or than UDP carries. */
  too_large = 0;
  /** Without a byte: WireGuard sends none. */
  empty = 0;
  /** The system refused to send. */
  send_error = 0;
  /** WireGuard does not keep up, and its receive buffer is full but for small packets. */
  wireguard_full = 0;
}

/** A way to talk to WireGuard's socket. */
export interface Capture<T> {
  /** Which of the two it is. */
  readonly kind: "portable" | "linux";
  /** Counters. */
  readonly drops: CaptureDrops;
  /**
   * Opens the socket of a peer.
   *
   * @throws Deno.errors.AddrInUse where another socket has this address and port
   * @throws Error for any other reason the system gives
   */
  open(address: string, port: number, tag: T): CaptureSocket;
  /** WireGuard's own port: the only one listened to and sent to. */
  setWireguardPort(port: number): void;
  /**
   * Sends `length` bytes of `buf` at `offset` to WireGuard from the socket's address. They are read
   * until {@linkcode flush} is done, not copied now.
   */
  send(socket: CaptureSocket, buf: Uint8Array, offset: number, length: number): void;
  /** Sends what waits. Afterwards (after the promise, if there is one) buffers are free again. */
  flush(): Promise<void> | undefined;
  /**
   * Hands on keepalives that woke nobody. To be called every now and then; where the system cannot
   * keep them they come like everything else.
   */
  collect(): void;
  /** Closes every socket. */
  close(): Promise<void>;
}
