/** For tests: keys, and a service that is asked over HTTP and shows what it got. */
import { generatePrivateKey, keyToHex, publicKeyOf } from "../derp/mod.ts";

/** A fresh public key, as bytes and as hex. */
export function newKey(): { key: Uint8Array; hex: string } {
  const key = publicKeyOf(generatePrivateKey());
  return { key, hex: keyToHex(key) };
}

/** Makes a directory, and removes it at the end of a scope. */
export async function scratch(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "nexd-admission-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Resolves once `ready` gives true; fails after 5 s. */
export async function until(ready: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 5_000; !ready();) {
    if (performance.now() > end) throw new Error(`${what}: not within 5 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What a recorded request was. */
export interface Recorded {
  /** Method, target and version. */
  line: string;
  headers: Headers;
  body: string;
}

/** An HTTP/1.1 service on a bare socket: what arrives is kept, what is answered is up to the test. */
export class Service implements AsyncDisposable {
  readonly requests: Recorded[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;

  /**
   * @param answer the bytes to answer with; undefined leaves the connection open and silent
   * @param hold leave it open behind the answer
   */
  constructor(
    private readonly answer: (request: Recorded) => Uint8Array | string | undefined,
    private readonly hold = false,
  ) {
    this.#serving = this.#serve();
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Most connections at the same time so far. */
  most = 0;

  async #serve(): Promise<void> {
    const handling = [];
    try {
      for await (const conn of this.#listener) handling.push(this.#handle(conn));
    } catch {
      // Closed.
    }
    await Promise.all(handling);
  }

  async #handle(conn: Deno.Conn): Promise<void> {
    this.#open.add(conn);
    this.most = Math.max(this.most, this.#open.size);
    try {
      const request = await read(conn);
      if (request === undefined) return;
      this.requests.push(request);
      const answer = this.answer(request);
      if (answer === undefined) return void await conn.read(new Uint8Array(1));
      const bytes = typeof answer === "string" ? new TextEncoder().encode(answer) : answer;
      for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
      if (this.hold) await conn.read(new Uint8Array(1));
    } catch {
      // The client went.
    } finally {
      if (this.#open.delete(conn)) conn.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of [...this.#open]) if (this.#open.delete(conn)) conn.close();
    await this.#serving;
  }
}

async function read(conn: Deno.Conn): Promise<Recorded | undefined> {
  const buffer = new Uint8Array(8192);
  let text = "";
  for (;;) {
    const end = text.indexOf("\r\n\r\n");
    if (end >= 0) {
      const [line, ...lines] = text.slice(0, end).split("\r\n");
      const headers = new Headers(lines.map((one) => one.split(": ", 2) as [string, string]));
      const body = text.slice(end + 4);
      if (body.length >= Number(headers.get("content-length") ?? 0)) {
        return { line: line!, headers, body };
      }
    }
    const n = await conn.read(buffer);
    if (n === null) return undefined;
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
}

/** A whole answer of a service that then closes the connection. */
export function answer(status: number, body: string, headers: Record<string, string> = {}): string {
  const lines = Object.entries({ "content-length": body.length, connection: "close", ...headers });
  return `HTTP/1.1 ${status} Said\r\n` +
    lines.map(([name, value]) => `${name}: ${value}\r\n`).join("") + `\r\n${body}`;
}
