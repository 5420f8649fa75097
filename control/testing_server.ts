/** A control plane as its own process would run it, over HTTPS, for the tests of starting and serving. */
import assert from "node:assert/strict";
import type { Device } from "./api/types.ts";
import { openToken } from "./auth/mod.ts";
import { ensureSelfSigned } from "../relay/cert/mod.ts";
import { type Control, type ControlConfig, startControl } from "./server.ts";
import { type Answer, newKey, QUICK } from "./testing.ts";

export const HOST = "control.test";

/** A state directory that is removed at the end, with a certificate made once for all tests. */
export class Place {
  static #certificate: Promise<{ cert: string; key: string; ca: string }> | undefined;
  readonly dir = Deno.makeTempDirSync({ prefix: "nexd-control-" });
  readonly stateDir = `${this.dir}/state`;

  static certificate(): Promise<{ cert: string; key: string; ca: string }> {
    return Place.#certificate ??= (async () => {
      const dir = await Deno.makeTempDir({ prefix: "nexd-cert-" });
      try {
        return await ensureSelfSigned(dir, [HOST, `api.${HOST}`, "localhost"]);
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    })();
  }

  async start(config: Partial<ControlConfig> = {}): Promise<Running> {
    const certificate = await Place.certificate();
    const control = await startControl({
      hostname: HOST,
      addr: { hostname: "127.0.0.1", port: 0 },
      stateDir: this.stateDir,
      certificate: () => Promise.resolve(certificate),
      ...config,
      admin: { cost: QUICK, ...config.admin },
    });
    return new Running(control, certificate.ca);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** A control plane with a client that trusts it and finds it without DNS. */
export class Running {
  #client: Deno.HttpClient;

  constructor(readonly control: Control, readonly ca: string) {
    this.#client = Deno.createHttpClient({ caCerts: [ca] });
  }

  async call(
    method: string,
    path: string,
    bearer: string,
    body?: unknown,
  ): Promise<Pick<Answer, "status" | "body">> {
    const response = await this.fetch(method, path, bearer, body);
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : undefined };
  }

  fetch(
    method: string,
    path: string,
    bearer: string,
    body?: unknown,
    passed = "",
  ): Promise<Response> {
    return fetch(`https://localhost:${this.control.address.port}${path}`, {
      method,
      headers: { authorization: `Bearer ${bearer}`, "x-forwarded-for": passed },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      client: this.#client,
    });
  }

  /** A TLS connection with a request written to it by hand. */
  async raw(path: string, bearer: string, body: string): Promise<Deno.TlsConn> {
    const conn = await tls(this.control.address.port, this.ca);
    const head = [
      `POST ${path} HTTP/1.1`,
      `Host: api.${HOST}`,
      `Authorization: Bearer ${bearer}`,
      "Content-Type: application/json",
      `Content-Length: ${body.length}`,
    ];
    await conn.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n${body}`));
    return conn;
  }

  async register(): Promise<{ device: Device; token: string }> {
    const public_key = newKey();
    const vpc_id = this.control.userId;
    const { status, body } = await this.call("POST", "/api/devices", this.control.regKey!, {
      vpc_id,
      public_key,
    });
    assert.equal(status, 201);
    return { device: body, token: openToken(body.bearer_token, public_key) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.control.close();
  }
}

async function tls(port: number, ca: string): Promise<Deno.TlsConn> {
  const plain = await Deno.connect({ hostname: "127.0.0.1", port });
  return await Deno.startTls(plain, { hostname: `api.${HOST}`, caCerts: [ca] });
}

/** Reads from a connection until the text fits; fails when it ends before. */
export async function readUntil(conn: Deno.TlsConn, pattern: RegExp): Promise<string> {
  const buffer = new Uint8Array(65536);
  let text = "";
  while (!pattern.test(text)) {
    const n = await conn.read(buffer);
    if (n === null) throw new Error(`ended after ${text}`);
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return text;
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const start = Date.now(); !await condition();) {
    if (Date.now() - start > 5000) throw new Error("waited too long");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
