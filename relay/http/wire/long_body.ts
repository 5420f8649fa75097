/**
 * Answers that last for hours, of which a server may hold many thousands. A body that is read waits in
 * a reader, a loop and a chain of promises for what comes next, which costs several times what the
 * connection does; one that is pushed waits in nothing.
 */
import type { Limits, Socket, Sweep } from "../../server/mod.ts";
import { close } from "./farewell.ts";

/** Where a long body goes. */
export interface BodySink {
  /** Sends bytes, at least one. The next ones only once the source's `taken` was called. */
  write(bytes: Uint8Array): void;
  /** Breaks the answer off, without its end. */
  cut(reason: Error): void;
}

/** What a long body comes from. Nothing of it may throw. */
export interface BodySource {
  /** Somebody takes the body: from now on, and within this call, it may be written. Called once. */
  open(sink: BodySink): void;
  /** What was written last has been taken. */
  taken(): void;
  /** Nobody takes the body any more, or it was cut. May be called again. */
  gone(): void;
}

/** A body that never ends by itself. It can be read like any other; a server that knows it need not. */
export class LongBody extends ReadableStream<Uint8Array> {
  readonly source: BodySource;

  constructor(source: BodySource) {
    let opened = false;
    let answered = () => {};
    super({
      pull: (controller) =>
        new Promise<void>((resolve) => {
          answered = resolve;
          if (opened) return source.taken();
          opened = true;
          source.open({
            write(bytes) {
              controller.enqueue(bytes);
              answered();
            },
            cut(reason) {
              controller.error(reason);
              answered();
            },
          });
        }),
      cancel: () => source.gone(),
    }, { highWaterMark: 0 });
    this.source = source;
  }
}

/** What the answers of one server share. */
export interface Holding {
  readonly limits: Limits;
  readonly sweep: Sweep;
  /** Answers that last, each of which has its connection for itself. */
  readonly held: Set<HeldAnswer>;
}

/** Reads that only wait for an end put what they find here, all of them. */
const NOWHERE = new Uint8Array(1);

/** The body of an answer whose head has been written. It closes the connection when it is over. */
export class HeldAnswer implements BodySink {
  readonly #conn: Socket;
  readonly #source: BodySource;
  readonly #holding: Holding;
  readonly #chunked: boolean;
  #over = false;

  constructor(conn: Socket, source: BodySource, chunked: boolean, holding: Holding) {
    this.#conn = conn;
    this.#source = source;
    this.#chunked = chunked;
    this.#holding = holding;
  }

  /**
   * Goes on until the client or the source has had enough.
   *
   * @param silent nothing has come behind the request. What comes later is left alone, but then the
   *   client's end is found only by writing
   */
  begin(silent: boolean): void {
    this.#holding.held.add(this);
    if (silent) {
      this.#conn.read(NOWHERE).then((n) => n === null && this.end(), () => this.end());
    }
    this.#source.open(this);
  }

  write(bytes: Uint8Array): void {
    if (!this.#over) this.#send(this.#chunked ? chunkOf(bytes) : bytes, 0);
  }

  #send(bytes: Uint8Array, at: number): void {
    const { limits, sweep } = this.#holding;
    const deadline = sweep.deadline(limits.httpIdleMs, () => this.end());
    this.#conn.write(at === 0 ? bytes : bytes.subarray(at)).then((n) => {
      deadline.end();
      if (this.#over) return;
      if (at + n < bytes.length) this.#send(bytes, at + n);
      else this.#source.taken();
    }, () => {
      deadline.end();
      this.end();
    });
  }

  cut(): void {
    this.end();
  }

  /** Ends the answer and its connection. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#holding.held.delete(this);
    close(this.#conn);
    this.#source.gone();
  }
}

const encoder = new TextEncoder();

/** The last bytes that were framed: mostly the next ones too, on another connection. */
let framed: { bytes: Uint8Array; chunk: Uint8Array } | undefined;

/** Bytes, at least one, as a chunk of a body. Not to be changed: it may be that of other answers too. */
function chunkOf(bytes: Uint8Array): Uint8Array {
  if (framed?.bytes === bytes) return framed.chunk;
  const size = encoder.encode(`${bytes.length.toString(16)}\r\n`);
  const chunk = new Uint8Array(size.length + bytes.length + 2);
  chunk.set(size);
  chunk.set(bytes, size.length);
  chunk.set([13, 10], size.length + bytes.length);
  framed = { bytes, chunk };
  return chunk;
}
