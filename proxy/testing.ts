/** For tests of this room: a small relay that does as it is told. */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import {
  encodePeerGone,
  encodeRecvPacket,
  encodeServerInfo,
  encodeServerKey,
  type Frame,
  FrameReader,
  FrameType,
  generatePrivateKey,
  isDisco,
  keyToHex,
  MAX_FRAME,
  openClientInfo,
  PeerGoneReason,
  publicKeyOf,
  type ServerInfo,
  upgradeResponse,
} from "../relay/derp/mod.ts";

import { datagramFd, setReceiveBuffer } from "../relay/net/mod.ts";

/** How a {@linkcode StubRelay} behaves. */
export interface StubBehaviour {
  /** TLS with this certificate; without: plain. */
  tls?: { cert: string; key: string };
  /** Answer to the upgrade request instead of 101. */
  httpAnswer?: string;
  /** Close instead of answering the login. */
  closeAtLogin?: boolean;
  /** Accept, and say nothing. */
  mute?: boolean;
  /** Members of ServerInfo. */
  info?: ServerInfo;
  /** Bytes sent in the same write as ServerInfo. */
  greeting?: Uint8Array;
  /** Answer Pings so much later, milliseconds: it is far away. */
  pongMs?: number;
  /** Do not pass packets on, and answer no Ping. */
  passive?: boolean;
  /** Read nothing after the login. */
  deaf?: boolean;
  /** Port to listen on. */
  port?: number;
}

/** One client, logged in. */
export interface StubClient {
  key: Uint8Array;
  conn: Deno.Conn;
  frames: Frame[];
  send(frame: Uint8Array): Promise<void>;
}

/** A relay for tests: plain or TLS, records frames, passes packets on. */
export class StubRelay implements AsyncDisposable {
  readonly privateKey: Uint8Array = generatePrivateKey();
  readonly clients: StubClient[] = [];
  logins = 0;
  readonly port: number;
  readonly #listener: Deno.Listener<Deno.Conn, Deno.NetAddr>;
  readonly #conns = new Set<Deno.Conn>();
  readonly #tasks: Promise<void>[] = [];
  readonly #hearing = Promise.withResolvers<void>();
  #changed = Promise.withResolvers<void>();

  constructor(readonly behaviour: StubBehaviour = {}) {
    const where = { hostname: "127.0.0.1", port: behaviour.port ?? 0 };
    this.#listener = behaviour.tls === undefined
      ? Deno.listen(where)
      : Deno.listenTls({ ...where, ...behaviour.tls }) as unknown as Deno.Listener<
        Deno.Conn,
        Deno.NetAddr
      >;
    this.port = this.#listener.addr.port;
    this.#tasks.push(this.#accept());
  }

  async #accept(): Promise<void> {
    try {
      for await (const conn of this.#listener) {
        this.#conns.add(conn);
        this.#tasks.push(this.#serve(conn).catch(() => {}).finally(() => this.drop(conn)));
      }
    } catch { /* closed */ }
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    const buf = new Uint8Array(65_536);
    if (this.behaviour.mute) {
      while (await conn.read(buf) !== null);
      return;
    }
    const { httpAnswer, info, greeting = new Uint8Array() } = this.behaviour;
    let head = "";
    while (!head.includes("\r\n\r\n")) {
      const n = await conn.read(buf);
      if (n === null) return;
      // Whatever came, as a server does that does not understand it.
      if (httpAnswer !== undefined) return await write(conn, new TextEncoder().encode(httpAnswer));
      head += new TextDecoder("latin1").decode(buf.subarray(0, n));
    }
    const publicKey = publicKeyOf(this.privateKey);
    await write(conn, join(upgradeResponse(publicKey), encodeServerKey(publicKey)));
    const reader = new FrameReader(MAX_FRAME);
    const next = async (): Promise<Frame | undefined> => {
      for (;;) {
        const frame = reader.next();
        if (frame !== undefined) return { type: frame.type, payload: frame.payload.slice() };
        const n = await conn.read(buf);
        if (n === null) return undefined;
        reader.push(buf.slice(0, n));
      }
    };
    const hello = await next();
    if (hello === undefined || this.behaviour.closeAtLogin) return;
    const { publicKey: key, box } = openClientInfo(this.privateKey, hello.payload);
    const client: StubClient = {
      key,
      conn,
      frames: [],
      send: (frame) => write(conn, frame),
    };
    await write(conn, join(encodeServerInfo(box, info ?? { version: 2 }), greeting));
    this.clients.push(client);
    this.logins++;
    this.#tell();
    if (this.behaviour.deaf) await this.#hearing.promise;
    for (let frame; (frame = await next()) !== undefined;) {
      client.frames.push(frame);
      this.#tell();
      if (this.behaviour.passive) continue;
      if (frame.type === FrameType.Ping) {
        const pong = join(Uint8Array.of(FrameType.Pong, 0, 0, 0, 8), frame.payload.subarray(0, 8));
        const { pongMs } = this.behaviour;
        if (pongMs === undefined) await write(conn, pong);
        else setTimeout(() => void write(conn, pong).catch(() => {}), pongMs);
      }
      if (frame.type !== FrameType.SendPacket) continue;
      const to = keyToHex(frame.payload.subarray(0, 32));
      const target = this.clients.findLast((c) => keyToHex(c.key) === to);
      if (target === undefined && isHello(frame)) {
        await write(conn, encodePeerGone(frame.payload.subarray(0, 32), PeerGoneReason.NotHere));
      }
      await target?.send(encodeRecvPacket(key, frame.payload.subarray(32))).catch(() => {});
    }
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Waits until something holds of this relay. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise;
  }

  /** SendPacket payloads behind the key, of one client or all; without what proxies say themselves. */
  packets(client?: StubClient): Uint8Array[] {
    return (client ? [client] : this.clients).flatMap((c) =>
      c.frames.filter((f) => f.type === FrameType.SendPacket && !isHello(f))
        .map((f) => f.payload.subarray(32))
    );
  }

  /** Ends deafness: what was sent meanwhile is read. */
  listen(): void {
    this.#hearing.resolve();
  }

  /** Ends one connection. */
  drop(conn: Deno.Conn): void {
    this.#conns.delete(conn);
    const at = this.clients.findIndex((c) => c.conn === conn);
    if (at >= 0) this.clients.splice(at, 1);
    try {
      conn.close();
    } catch { /* was closed */ }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#listener.close();
    } catch { /* was closed */ }
    this.listen();
    for (const conn of [...this.#conns]) this.drop(conn);
    await Promise.all(this.#tasks);
  }
}

function isHello({ payload }: Frame): boolean {
  return isDisco(payload, 32, payload.length - 32);
}

/** Writes all bytes. */
export async function write(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Puts bytes one behind the other. */
export function join(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A private authority and a certificate for one name, as PEM texts. */
export async function makeCertificate(
  name: string,
  { expired = false } = {},
): Promise<{ ca: string; cert: string; key: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const make = () => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const [caKeys, keys] = await Promise.all([make(), make()]);
  const day = 86_400_000;
  const notBefore = new Date(Date.now() - 9 * day);
  const notAfter = new Date(Date.now() + (expired ? -day : day));
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=test authority",
    keys: caKeys,
    signingAlgorithm: algorithm,
    notBefore,
    notAfter: new Date(Date.now() + day),
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const cert = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: ca.subject,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: algorithm,
    notBefore,
    notAfter,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }])],
  });
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8.toBase64()}\n-----END PRIVATE KEY-----\n`;
  return { ca: ca.toString("pem"), cert: cert.toString("pem"), key };
}

/** WireGuard's side: a socket that keeps what it gets. */
export class FakeWireGuard implements Disposable {
  readonly conn: Deno.DatagramConn;
  readonly port: number;
  readonly got: { data: Uint8Array; from: string }[] = [];
  #wake: (() => void) | undefined;

  constructor(hostname = "127.0.0.1", port = 0) {
    this.conn = Deno.listenDatagram({ transport: "udp", hostname, port });
    this.port = (this.conn.addr as Deno.NetAddr).port;
    const fd = datagramFd(hostname, this.port);
    if (fd !== undefined) setReceiveBuffer(fd, 8 << 20);
    void this.#read();
  }

  async #read() {
    const buf = new Uint8Array(65_536);
    try {
      while (true) {
        const [data, from] = await this.conn.receive(buf);
        const { hostname, port } = from as Deno.NetAddr;
        this.got.push({ data: data.slice(), from: `${hostname}:${port}` });
        this.#wake?.();
      }
    } catch { /* closed */ }
  }

  async waitFor(count: number): Promise<void> {
    while (this.got.length < count) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  send(data: Uint8Array, to: { hostname: string; port: number }): Promise<number> {
    return this.conn.send(data, { transport: "udp", ...to });
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

/** A port that nobody has on any loopback address, as far as one can know. */
export function freePort(): number {
  const probe = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
  const { port } = probe.addr as Deno.NetAddr;
  probe.close();
  return port;
}
