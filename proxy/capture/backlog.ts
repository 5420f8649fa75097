/**
 * How much waits in WireGuard's socket, asked of the kernel by sock_diag(7).
 *
 * wireguard-go reads from a UDP socket with an ordinary receive buffer (some 90 full packets by
 * default), and what does not fit is lost without a word, whatever it is. Whoever knows how full it
 * is can choose what is lost instead. WireGuard in the kernel takes packets as they come: nothing
 * ever waits there.
 */
import {
  type BatchCalls,
  HEADER,
  MSG_DONTWAIT,
  netlinkSocket,
  pinned,
  writePointer,
} from "./libc.ts";

/** Bytes of memory that wait, and that may. */
export interface Backlog {
  /** What waits, as the kernel counts memory: a packet costs more than its bytes. */
  waiting: number;
  /** The receive buffer's size, as counted. */
  capacity: number;
}

const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1;
const AF_INET = 2;
const IPPROTO_UDP = 17;
/** The extension with the socket's memory, and its place in the request's bit set. */
const INET_DIAG_SKMEMINFO = 7;
const SKMEMINFO_BIT = 1 << (INET_DIAG_SKMEMINFO - 1);
/** Bytes of `struct nlmsghdr`, and of `struct inet_diag_req_v2` behind it. */
const MESSAGE_HEADER = 16;
const REQUEST = MESSAGE_HEADER + 56;
/** Bytes of `struct inet_diag_msg`, which attributes follow. */
const ANSWER = MESSAGE_HEADER + 72;
const LOOPBACK = 0x7f000001;

/** Asks about one UDP socket of this network namespace. */
export class BacklogGauge {
  readonly #calls: BatchCalls;
  readonly #request = pinned(REQUEST);
  readonly #answer = pinned(512);
  readonly #view: DataView;
  readonly #sending: Uint8Array<ArrayBuffer>;
  readonly #receiving: Uint8Array<ArrayBuffer>;
  readonly #backlog: Backlog = { waiting: 0, capacity: 0 };
  #close: (() => void) | undefined;
  #fd = -1;
  #tried = false;

  constructor(calls: BatchCalls) {
    this.#calls = calls;
    this.#view = new DataView(this.#answer.bytes.buffer);
    this.#sending = message(this.#request);
    this.#receiving = message(this.#answer);
    const request = new DataView(this.#request.bytes.buffer);
    request.setUint32(0, REQUEST, true);
    request.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
    request.setUint16(6, NLM_F_REQUEST, true);
    this.#request.bytes.set([AF_INET, IPPROTO_UDP, SKMEMINFO_BIT], MESSAGE_HEADER);
    request.setUint32(MESSAGE_HEADER + 4, 0xffffffff); // in any state
    // The socket that would get a packet from "source" to "destination".
    request.setUint16(MESSAGE_HEADER + 8, 9);
    request.setUint32(MESSAGE_HEADER + 12, LOOPBACK);
    request.setUint32(MESSAGE_HEADER + 28, LOOPBACK);
    request.setUint32(MESSAGE_HEADER + 48, 0xffffffff); // no cookie
    request.setUint32(MESSAGE_HEADER + 52, 0xffffffff);
  }

  /** The socket on 127.0.0.1, or on every address, with this port. */
  setPort(port: number): void {
    new DataView(this.#request.bytes.buffer).setUint16(MESSAGE_HEADER + 10, port);
  }

  /** What waits now; undefined where it cannot be known. The object is used again. */
  measure(): Backlog | undefined {
    if (this.#fd < 0 && !this.#open()) return undefined;
    const calls = this.#calls;
    if (calls.sendmmsg(this.#fd, this.#sending, 1, MSG_DONTWAIT) !== 1) return undefined;
    if (calls.recvmmsg(this.#fd, this.#receiving, 1, MSG_DONTWAIT) !== 1) return undefined;
    const view = this.#view;
    const length = Math.min(view.getUint32(0, true), this.#answer.bytes.length);
    if (length < ANSWER || view.getUint16(4, true) !== SOCK_DIAG_BY_FAMILY) return undefined;
    for (let at = ANSWER; at + 12 <= length;) {
      const size = view.getUint16(at, true);
      if (view.getUint16(at + 2, true) === INET_DIAG_SKMEMINFO) {
        this.#backlog.waiting = view.getUint32(at + 4, true);
        this.#backlog.capacity = view.getUint32(at + 8, true);
        return this.#backlog;
      }
      if (size < 4) break;
      at += (size + 3) & ~3;
    }
    return undefined;
  }

  #open(): boolean {
    if (this.#tried) return false;
    this.#tried = true;
    const socket = netlinkSocket();
    if (socket === undefined) return false;
    this.#fd = socket.fd;
    this.#close = socket.close;
    return true;
  }

  /** Closes its socket; nothing is known from then on. */
  close(): void {
    this.#tried = true;
    this.#fd = -1;
    this.#close?.();
    this.#close = undefined;
  }
}

/** A header for one message in `memory`, for the batch calls. */
function message(memory: ReturnType<typeof pinned>): Uint8Array<ArrayBuffer> {
  const vector = pinned(16);
  const vectorWords = new Uint32Array(vector.bytes.buffer);
  writePointer(vectorWords, 0, memory.address);
  vectorWords[2] = memory.bytes.length;
  const header = pinned(HEADER.size);
  const words = new Uint32Array(header.bytes.buffer);
  writePointer(words, HEADER.vector / 4, vector.address);
  words[HEADER.vectorLength / 4] = 1;
  keep.set(header.bytes, vector.bytes);
  return header.bytes;
}

/** What a header points at lives as long as the header. */
const keep = new WeakMap<Uint8Array, Uint8Array>();
