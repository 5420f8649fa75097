/**
 * The first message of a TLS client (RFC 8446 section 4.1.2), read before any TLS library has it, to
 * tell who comes for a challenge.
 *
 * @module
 */

/** What a ClientHello says, as far as a challenge needs it. */
export interface ClientHello {
  /** The handshake message, with its header: the transcript begins with it. */
  message: Uint8Array;
  sessionId: Uint8Array;
  cipherSuites: number[];
  /** Protocols offered by ALPN; empty when it offers none. */
  protocols: string[];
  versions: number[];
  signatures: number[];
  /** Public keys by group. */
  keyShares: Map<number, Uint8Array>;
}

/** More than any client needs. */
const MAX_HELLO = 16_384;

const EXTENSION = { signatures: 13, alpn: 16, versions: 43, keyShares: 51 } as const;

/**
 * Reads a ClientHello from the start of a connection.
 *
 * @returns undefined while bytes are missing
 * @throws {RangeError} when it is none
 */
export function readClientHello(bytes: Uint8Array): ClientHello | undefined {
  const message = handshakeMessage(bytes);
  if (message === undefined) return undefined;
  const body = new Cursor(message.subarray(4));
  body.take(2 + 32); // version and random
  const sessionId = body.block(1);
  const cipherSuites = body.sub(2).all((c) => c.number(2));
  body.block(1); // compression
  const hello: ClientHello = {
    ...{ message, sessionId, cipherSuites, protocols: [], versions: [], signatures: [] },
    keyShares: new Map(),
  };
  if (body.done) return hello;
  const extensions = body.sub(2);
  while (!extensions.done) {
    const type = extensions.number(2);
    const content = extensions.sub(2);
    switch (type) {
      case EXTENSION.alpn:
        hello.protocols = content.sub(2).all((c) => new TextDecoder().decode(c.block(1)));
        break;
      case EXTENSION.versions:
        hello.versions = content.sub(1).all((c) => c.number(2));
        break;
      case EXTENSION.signatures:
        hello.signatures = content.sub(2).all((c) => c.number(2));
        break;
      case EXTENSION.keyShares:
        for (const [group, key] of content.sub(2).all((c) => [c.number(2), c.block(2)] as const)) {
          hello.keyShares.set(group, key);
        }
    }
  }
  return hello;
}

/** The first handshake message, put together from its records (RFC 8446 section 5.1). */
function handshakeMessage(bytes: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const message = new Uint8Array(MAX_HELLO);
  let length = 0;
  for (let at = 0; at + 5 <= bytes.length;) {
    if (bytes[at] !== 22) throw new RangeError("Cannot read ClientHello: no handshake record");
    const size = bytes[at + 3]! << 8 | bytes[at + 4]!;
    if (size === 0 || length + size > MAX_HELLO) {
      throw new RangeError(`Cannot read ClientHello: record of ${size} bytes`);
    }
    if (at + 5 + size > bytes.length) break;
    message.set(bytes.subarray(at + 5, at + 5 + size), length);
    length += size;
    at += 5 + size;
    if (message[0] !== 1) throw new RangeError("Cannot read ClientHello: another message");
    const wanted = 4 + (message[1]! << 16 | message[2]! << 8 | message[3]!);
    if (length >= 4 && wanted > MAX_HELLO) {
      throw new RangeError(`Cannot read ClientHello: ${wanted} bytes`);
    }
    if (length >= 4 && length >= wanted) return message.slice(0, wanted);
  }
  return undefined;
}

/** Reads fields one after the other; the end of the room is an error, not undefined. */
class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError("Cannot read ClientHello: it is cut off");
    return this.#bytes.subarray(this.#at, this.#at = end);
  }

  /** An unsigned number of so many bytes. */
  number(size: number): number {
    return this.take(size).reduce((sum, byte) => sum << 8 | byte, 0);
  }

  /** Bytes after their length, which has `size` bytes. */
  block(size: number): Uint8Array {
    return this.take(this.number(size));
  }

  sub(size: number): Cursor {
    return new Cursor(this.block(size));
  }

  /** Everything to the end. */
  all<T>(read: (cursor: Cursor) => T): T[] {
    const items: T[] = [];
    while (!this.done) items.push(read(this));
    return items;
  }
}
