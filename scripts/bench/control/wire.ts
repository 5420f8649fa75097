/**
 * HTTP/1.1 over one TLS connection with as little work as can be, so that what is measured is the
 * server.
 *
 * @module
 */

/** Where a server is and how it is known. */
export interface Target {
  port: number;
  /** Name in the certificate. */
  host: string;
  /** PEM of its authority. */
  ca: string;
}

/** An answer and when its parts came, ms after it was asked for. */
export interface Answer {
  status: number;
  firstMs: number;
  totalMs: number;
  body: string;
}

const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");

/** Text of a request; `body` as it goes out. */
export function request(
  target: Target,
  method: string,
  path: string,
  bearer: string,
  body?: string,
): Uint8Array<ArrayBuffer> {
  const length = body === undefined
    ? ""
    : `content-type: application/json\r\ncontent-length: ${body.length}\r\n`;
  return encoder.encode(
    `${method} ${path} HTTP/1.1\r\nhost: ${target.host}\r\nauthorization: Bearer ${bearer}\r\n` +
      `${length}\r\n${body ?? ""}`,
  );
}

/** A connection that is kept. */
export class Wire implements Disposable {
  readonly #conn: Deno.TlsConn;
  readonly #buffer: Uint8Array<ArrayBuffer>;

  private constructor(conn: Deno.TlsConn, bufferBytes: number) {
    this.#conn = conn;
    this.#buffer = new Uint8Array(bufferBytes);
  }

  static async connect(target: Target, bufferBytes = 65_536): Promise<Wire> {
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port: target.port });
    tcp.setNoDelay(true);
    const conn = await Deno.startTls(tcp, {
      hostname: target.host,
      caCerts: [target.ca],
    });
    return new Wire(conn, bufferBytes);
  }

  async send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  /** What has come, or undefined at the end. */
  async read(): Promise<string | undefined> {
    const n = await this.#conn.read(this.#buffer);
    return n === null ? undefined : latin1.decode(this.#buffer.subarray(0, n));
  }

  /** Sends a request and reads its whole answer. */
  async ask(bytes: Uint8Array): Promise<Answer> {
    const start = performance.now();
    await this.send(bytes);
    let text = await this.#more("");
    const firstMs = performance.now() - start;
    while (!text.includes("\r\n\r\n")) text = await this.#more(text);
    const end = text.indexOf("\r\n\r\n") + 4;
    const head = text.slice(0, end);
    const parts = [text.slice(end)];
    const length = /^content-length: (\d+)/im.exec(head)?.[1];
    if (length !== undefined) {
      for (let left = Number(length) - parts[0]!.length; left > 0;) {
        const part = await this.#more("");
        parts.push(part);
        left -= part.length;
      }
    } else {
      // The last chunk may be cut anywhere.
      for (let tail = parts[0]!; !tail.endsWith("0\r\n\r\n");) {
        const part = await this.#more("");
        parts.push(part);
        tail = (tail + part).slice(-8);
      }
    }
    return {
      status: Number(head.slice(9, 12)),
      firstMs,
      totalMs: performance.now() - start,
      body: parts.join(""),
    };
  }

  async #more(text: string): Promise<string> {
    const part = await this.read();
    if (part === undefined) throw new Error("the server closed the connection");
    return text + part;
  }

  [Symbol.dispose](): void {
    try {
      this.#conn.close();
    } catch {
      // Closed already.
    }
  }
}
