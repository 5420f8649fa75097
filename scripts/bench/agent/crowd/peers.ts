/**
 * `peers.ts HOST PORT CA KEYS`, on the relay's host: as many peers as KEYS (a file of base64 private
 * keys, JSON) has, logged in at the relay. They answer handshakes, keep their sessions alive, and are
 * silent otherwise. Prints "ready" when all of them are there.
 *
 * @module
 */
import {
  BoxKey,
  decodePing,
  decodeServerKey,
  encodeClientInfo,
  encodePong,
  encodeSendPacket,
  type Frame,
  FrameReader,
  FrameType,
  keyFromBase64,
  MAX_FRAME,
  openServerInfo,
  PROTOCOL_VERSION,
  upgradeRequest,
} from "../../../../relay/derp/mod.ts";
import { INITIATION_LENGTH, Responder } from "./noise.ts";

/** As every agent has it, ms. */
const KEEPALIVE = 20_000;
/** Logins under way at one time. */
const AT_ONCE = 8;
const KEY_LENGTH = 32;

const [host = "", port = "", ca = "", file = ""] = Deno.args;
const caCerts = [Deno.readTextFileSync(ca)];
const keys: string[] = JSON.parse(Deno.readTextFileSync(file));

class Peer {
  readonly #privateKey: Uint8Array;
  readonly #responder: Responder;
  #conn!: Deno.Conn;
  #agent: Uint8Array | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(privateKey: Uint8Array) {
    this.#privateKey = privateKey;
    this.#responder = new Responder(privateKey);
  }

  async login(): Promise<void> {
    const conn = this.#conn = await Deno.connectTls({
      hostname: host,
      port: Number(port),
      caCerts,
    });
    this.#write(upgradeRequest(host));
    const reader = new FrameReader(MAX_FRAME);
    const chunk = new Uint8Array(16 * 1024);
    let head = "";
    while (!head.includes("\r\n\r\n")) {
      const count = await conn.read(chunk);
      if (count === null) throw new Error(`Cannot log in to ${host}: it closed the connection`);
      // One character a byte: frames may follow.
      for (let i = 0; i < count; i++) head += String.fromCharCode(chunk[i]!);
    }
    reader.push(Uint8Array.from(head.slice(head.indexOf("\r\n\r\n") + 4), (c) => c.charCodeAt(0)));
    const next = async (): Promise<Frame> => {
      for (;;) {
        const frame = reader.next();
        if (frame !== undefined) return frame;
        const count = await conn.read(chunk);
        if (count === null) throw new Error(`${host} closed the connection`);
        reader.push(chunk.subarray(0, count));
      }
    };
    const serverKey = decodeServerKey((await next()).payload);
    const info = { version: PROTOCOL_VERSION, canAckPings: true };
    this.#write(encodeClientInfo(this.#privateKey, serverKey, info));
    openServerInfo(new BoxKey(this.#privateKey, serverKey), (await next()).payload);
    void this.#run(next);
  }

  async #run(next: () => Promise<Frame>): Promise<never> {
    for (;;) {
      const { type, payload } = await next();
      if (type === FrameType.Ping) this.#write(encodePong(decodePing(payload)));
      if (type !== FrameType.RecvPacket || payload.length !== KEY_LENGTH + INITIATION_LENGTH) {
        continue;
      }
      this.#agent = payload.subarray(0, KEY_LENGTH);
      this.#send(this.#responder.answer(payload.subarray(KEY_LENGTH)));
    }
  }

  stayAlive(): void {
    const packet = this.#responder.keepalive();
    if (packet !== undefined) this.#send(packet);
  }

  #send(packet: Uint8Array): void {
    this.#write(encodeSendPacket(this.#agent!, packet));
  }

  #write(bytes: Uint8Array): void {
    this.#writing = this.#writing.then(() => this.#conn.write(bytes));
  }
}

const peers = keys.map((key) => new Peer(keyFromBase64(key)));
const waiting = [...peers];
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  for (let peer; (peer = waiting.shift()) !== undefined;) await peer.login();
}));
Deno.stdout.writeSync(new TextEncoder().encode("ready\n"));
// Each at its own moment, as hosts are that were not started together.
let turn = 0;
setInterval(() => peers[turn++ % peers.length]!.stayAlive(), KEEPALIVE / peers.length);
