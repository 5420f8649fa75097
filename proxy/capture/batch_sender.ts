/**
 * Sends packets that lie scattered in a read buffer to WireGuard, straight from there.
 *
 * Packets are gathered by socket, so that interleaved peers still make runs. A run of packets of
 * one size (the last may be shorter) becomes one message with UDP_SEGMENT (generic segmentation
 * offload, udp(7)), which costs the system little more than one packet; all messages of a socket
 * leave in one sendmmsg(2). Nothing is copied here and nothing is allocated.
 *
 * When WireGuard does not keep up, its receive buffer would overflow and lose whatever comes. So what
 * waits there is looked at, and full-size packets are only sent while enough room is left for small
 * ones: handshakes, acknowledgements, pings and voice get through beside a bulk transfer. Where
 * several peers share what room there is, each has its part, and what one does not need is the
 * others'.
 */
import { addressOf, type BatchCalls, HEADER, MSG_DONTWAIT, pinned, writePointer } from "./libc.ts";
import type { Room } from "./room.ts";
import { type CaptureDrops, MAX_UDP_PAYLOAD } from "./types.ts";

/** Packets held before they are sent without being asked. */
const MAX_PACKETS = 512;

/** Messages in one call. */
const MAX_MESSAGES = 64;

/** The kernel takes 64 segments (128 since 6.9) of at most one datagram's size together. */
const MAX_SEGMENTS = 64;

/** Packets up to this long are never held back for a full buffer. Bytes. */
export const SMALL_PACKET = 256;

/** What the kernel counts for a packet in a receive buffer beside its bytes, about. */
const PACKET_MEMORY = 900;

const AF_INET = 2;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
/** Bytes of a control message with one 16-bit number, and the same padded. */
const CONTROL_LENGTH = 18;
const CONTROL_SPACE = 24;

const EINTR = 4;
/** What a kernel or device answers that cannot do UDP_SEGMENT. */
const NO_SEGMENTATION = new Set([5, /* EIO */ 22, /* EINVAL */ 90, /* EMSGSIZE */ 92, 95]);

/** A socket as the sender sees it: its descriptor, and its packets as a list of entry numbers. */
export interface SendingSocket {
  /** Descriptor; -1 when closed. */
  fd: number;
  /** First entry that waits; -1 for none. */
  first: number;
  /** Last entry that waits; -1 for none. */
  last: number;
  /** Memory that its waiting full-size packets will take in WireGuard's receive buffer, about. */
  memory: number;
}

/** See the top of the file. */
export class BatchSender {
  readonly #calls: BatchCalls;
  readonly #drops: CaptureDrops;
  readonly #headers = pinned(MAX_MESSAGES * HEADER.size);
  readonly #headerWords = new Uint32Array(this.#headers.bytes.buffer);
  readonly #vectors = pinned(MAX_PACKETS * 16);
  readonly #vectorWords = new Uint32Array(this.#vectors.bytes.buffer);
  readonly #controls = pinned(MAX_MESSAGES * CONTROL_SPACE);
  readonly #segmentSizes = new Uint16Array(this.#controls.bytes.buffer);
  readonly #destination = pinned(16);
  // Entries: one packet each.
  readonly #addresses = new Float64Array(MAX_PACKETS);
  readonly #lengths = new Int32Array(MAX_PACKETS);
  readonly #next = new Int32Array(MAX_PACKETS);
  #entries = 0;
  readonly #touched: SendingSocket[] = [];
  #touchedCount = 0;
  #buffer: Uint8Array | undefined;
  #bufferAddress = 0;
  #ready = false;
  readonly #room: Room | undefined;
  /** Memory of the full-size packets that wait. */
  #memory = 0;
  /** Whether runs are sent with UDP_SEGMENT: until the system refuses. */
  segmentation = true;

  constructor(calls: BatchCalls, drops: CaptureDrops, room?: Room) {
    this.#room = room;
    this.#calls = calls;
    this.#drops = drops;
    for (let i = 0; i < MAX_MESSAGES; i++) {
      const word = i * HEADER.size / 4;
      writePointer(this.#headerWords, word + HEADER.name / 4, this.#destination.address);
      this.#headerWords[word + HEADER.nameLength / 4] = 16;
      const control = new DataView(this.#controls.bytes.buffer, i * CONTROL_SPACE);
      control.setUint32(0, CONTROL_LENGTH, true);
      control.setInt32(8, SOL_UDP, true);
      control.setInt32(12, UDP_SEGMENT, true);
    }
  }

  /** Everything goes to 127.0.0.1 and this port. 0: nothing is sent. */
  setPort(port: number): void {
    const name = new DataView(this.#destination.bytes.buffer);
    name.setUint16(0, AF_INET, true);
    name.setUint16(2, port);
    name.setUint32(4, 0x7f000001);
    this.#ready = port !== 0;
  }

  /** Adds a packet. Its bytes are read by {@linkcode flush}. */
  add(socket: SendingSocket, buf: Uint8Array, offset: number, length: number): void {
    if (length > MAX_UDP_PAYLOAD) {
      this.#drops.too_large++;
      return;
    }
    if (length === 0) {
      this.#drops.empty++;
      return;
    }
    if (!this.#ready || socket.fd < 0) {
      this.#drops.send_error++;
      return;
    }
    if (buf !== this.#buffer) {
      this.#buffer = buf;
      this.#bufferAddress = addressOf(buf as Uint8Array<ArrayBuffer>);
    }
    if (this.#entries === MAX_PACKETS) this.flush();
    const entry = this.#entries++;
    this.#addresses[entry] = this.#bufferAddress + offset;
    this.#lengths[entry] = length;
    this.#next[entry] = -1;
    if (socket.first < 0) {
      socket.first = entry;
      this.#touched[this.#touchedCount++] = socket;
      socket.memory = 0;
    } else this.#next[socket.last] = entry;
    socket.last = entry;
    if (length > SMALL_PACKET) {
      socket.memory += length + PACKET_MEMORY;
      this.#memory += length + PACKET_MEMORY;
    }
  }

  /** Sends everything. */
  flush(): void {
    const share = this.#shareRoom();
    for (let i = 0; i < this.#touchedCount; i++) {
      const socket = this.#touched[i]!;
      let left = socket.memory <= share ? Infinity : share;
      let count = 0;
      for (let entry = socket.first; entry >= 0; entry = this.#next[entry]!) {
        if (left !== Infinity && this.#lengths[entry]! > SMALL_PACKET) {
          const memory = this.#lengths[entry]! + PACKET_MEMORY;
          if (memory > left) {
            this.#drops.wireguard_full++;
            continue;
          }
          left -= memory;
        }
        writePointer(this.#vectorWords, count * 4, this.#addresses[entry]!);
        this.#vectorWords[count * 4 + 2] = this.#lengths[entry]!;
        count++;
      }
      socket.first = socket.last = -1;
      if (socket.fd < 0) this.#drops.send_error += count;
      else this.#sendVectors(socket.fd, count);
    }
    this.#touchedCount = 0;
    this.#entries = 0;
    this.#memory = 0;
  }

  /** Memory that each socket's full-size packets may take now; Infinity when there is room for all. */
  #shareRoom(): number {
    if (this.#room === undefined || this.#memory === 0) return Infinity;
    const room = this.#room.take(this.#memory);
    return room === Infinity ? Infinity : fairShare(this.#touched, this.#touchedCount, room);
  }

  #sendVectors(fd: number, count: number): void {
    let at = 0;
    while (at < count) {
      const messages = this.#build(at, count);
      const sent = this.#calls.sendmmsg(fd, this.#headers.bytes, messages, MSG_DONTWAIT);
      if (sent > 0) {
        for (let i = 0; i < sent; i++) at += this.#packetsIn(i);
        continue;
      }
      const errno = this.#calls.errno();
      if (errno === EINTR) continue;
      const packets = this.#packetsIn(0);
      if (packets > 1 && NO_SEGMENTATION.has(errno)) {
        this.segmentation = false;
        continue;
      }
      this.#drops.send_error += packets;
      at += packets;
    }
  }

  #packetsIn(message: number): number {
    return this.#headerWords[(message * HEADER.size + HEADER.vectorLength) / 4]!;
  }

  /** Makes messages of the vectors from `at` on; returns how many. */
  #build(at: number, count: number): number {
    const words = this.#headerWords;
    const vectors = this.#vectorWords;
    let message = 0;
    while (at < count && message < MAX_MESSAGES) {
      const size = vectors[at * 4 + 2]!;
      let packets = 1;
      if (this.segmentation) {
        let total = size;
        let length = size;
        while (length === size && packets < MAX_SEGMENTS && at + packets < count) {
          length = vectors[(at + packets) * 4 + 2]!;
          total += length;
          if (length > size || total > MAX_UDP_PAYLOAD) break;
          packets++;
        }
      }
      const word = message * HEADER.size / 4;
      writePointer(words, word + HEADER.vector / 4, this.#vectors.address + at * 16);
      words[word + HEADER.vectorLength / 4] = packets;
      if (packets > 1) {
        const control = message * CONTROL_SPACE;
        this.#segmentSizes[(control + 16) / 2] = size;
        writePointer(words, word + HEADER.control / 4, this.#controls.address + control);
        words[word + HEADER.controlLength / 4] = CONTROL_SPACE;
      } else {
        writePointer(words, word + HEADER.control / 4, 0);
        words[word + HEADER.controlLength / 4] = 0;
      }
      at += packets;
      message++;
    }
    return message;
  }
}

/**
 * The most that each may have so that all together have `room`: who needs less leaves the rest to the
 * others (max-min fairness).
 */
function fairShare(sockets: readonly SendingSocket[], count: number, room: number): number {
  let share = room / count;
  for (;;) {
    let satisfied = 0;
    let left = room;
    for (let i = 0; i < count; i++) {
      const { memory } = sockets[i]!;
      if (memory > share) continue;
      satisfied++;
      left -= memory;
    }
    if (satisfied === count) return share;
    const next = left / (count - satisfied);
    // Each turn satisfies one more at least, or is the last; a few make it fair enough.
    if (next <= share * 1.01) return share;
    share = next;
  }
}
