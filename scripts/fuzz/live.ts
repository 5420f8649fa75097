/**
 * A live relay in this process under clients that break every rule at once: random and damaged
 * heads, logins and frames, cut anywhere, many clients interleaved, some that read nothing, some
 * that know the mesh key. After each batch an honest pair must get a packet through, and nothing
 * may be left over.
 *
 * @module
 */

import {
  encodeClientInfo,
  encodeFrame,
  encodeSendPacket,
  FrameType,
  generatePrivateKey,
  publicKeyOf,
  upgradeRequest,
} from "../../relay/derp/mod.ts";
import { clientFrame } from "../../relay/http/websocket/testing.ts";
import { type Relay, startRelay } from "../../relay/mod.ts";
import { TestClient } from "../../relay/testing.ts";
import type { Corpus } from "./corpus.ts";
import { cut, join, mutate, Random } from "./random.ts";

const MESH_KEY = "5c".repeat(32);
const CLIENTS = 24;
/** Longest wait for one thing that must happen, in ms. */
const PATIENCE_MS = 10_000;
/** Descriptors that may be open beyond those of a relay at rest. */
const SPARE_HANDLES = 8;
const HEAP_BOUND = 96 * 1024 * 1024;
const WEBSOCKET = new TextEncoder().encode(
  "GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" +
    "Sec-WebSocket-Protocol: derp\r\n\r\n",
);

/** What has been done to the relay so far. */
export interface LiveCounts {
  batches: number;
  connections: number;
  logins: number;
  frames: number;
  bytes: number;
}

/** One client's doing, decided before it starts so that a seed repeats it. */
interface Plan {
  /** Pieces in the order they are written. */
  pieces: Uint8Array[];
  /** Reads what comes; else its socket fills. */
  reads: boolean;
  /** How it ends. */
  end: "close" | "half" | "wait";
  /** Milliseconds before it ends, where it waits. */
  lingerMs: number;
}

/** A relay that is being fuzzed. */
export class LiveFuzz implements AsyncDisposable {
  readonly counts: LiveCounts = { batches: 0, connections: 0, logins: 0, frames: 0, bytes: 0 };
  readonly #escaped: string[] = [];
  readonly #serverKey: Uint8Array;
  #handles = 0;
  #heap = 0;

  readonly #onEscape = (event: PromiseRejectionEvent | ErrorEvent) => {
    event.preventDefault();
    const error = "reason" in event ? event.reason : event.error;
    this.#escaped.push(error instanceof Error ? error.stack ?? error.message : String(error));
  };

  private constructor(readonly corpus: Corpus, readonly relay: Relay) {
    this.#serverKey = Uint8Array.fromHex(relay.publicKey);
    globalThis.addEventListener("unhandledrejection", this.#onEscape);
    globalThis.addEventListener("error", this.#onEscape);
  }

  static async start(corpus: Corpus): Promise<LiveFuzz> {
    const relay = await startRelay({
      addr: { hostname: "127.0.0.1", port: 0 },
      mesh: { key: MESH_KEY, with: [], caCerts: [] },
      perAddress: 0,
      limits: { headMs: 1_000, loginMs: 1_000, writeMs: 500, meshWriteMs: 500, sweepMs: 20 },
    });
    const fuzz = new LiveFuzz(corpus, relay);
    await fuzz.#honest();
    await fuzz.#settled(0);
    fuzz.#handles = handles();
    return fuzz;
  }

  /**
   * One batch.
   *
   * @throws when the relay broke, with what is left or what escaped
   */
  async batch(seed: number, number: number): Promise<void> {
    const random = new Random(seed, number, 0x11fe);
    const keys = Array.from({ length: CLIENTS }, generatePrivateKey);
    const publics = keys.map(publicKeyOf);
    const plans = keys.map((key) => this.#plan(random, key, publics));
    await Promise.all(plans.map((plan) => this.#play(plan)));
    this.counts.batches += 1;
    await this.#honest();
    await this.#settled(number);
    if (this.#escaped.length > 0) {
      throw new Error(`errors escaped from the relay: ${this.#escaped.splice(0).join("\n")}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay.close();
    globalThis.removeEventListener("unhandledrejection", this.#onEscape);
    globalThis.removeEventListener("error", this.#onEscape);
  }

  #plan(random: Random, key: Uint8Array, publics: Uint8Array[]): Plan {
    const bytes = random.once(6)
      ? mutate(random, random.pick(this.corpus.clients))
      : this.#client(random, key, publics);
    this.counts.bytes += bytes.length;
    return {
      pieces: cut(random, bytes),
      reads: !random.once(5),
      end: random.pick(["close", "close", "half", "wait"]),
      lingerMs: random.below(60),
    };
  }

  /** A client that is honest up to a random point. */
  #client(random: Random, key: Uint8Array, publics: Uint8Array[]): Uint8Array {
    const wrong = random.below(12);
    const webSocket = random.once(6);
    let head = webSocket ? WEBSOCKET : upgradeRequest("x", { fastStart: random.once(2) });
    if (wrong === 0) head = mutate(random, head);
    if (wrong === 1) head = random.pick(this.corpus.requests);
    const trusted = random.once(3);
    let login = encodeClientInfo(key, this.#serverKey, {
      version: 2,
      canAckPings: random.once(2),
      ...(trusted && { meshKey: MESH_KEY }),
    });
    if (wrong === 2) login = mutate(random, login) as Uint8Array<ArrayBuffer>;
    if (wrong > 2) this.counts.logins += 1;
    const frames: Uint8Array[] = [];
    for (let i = random.below(60); i > 0; i--) {
      frames.push(this.#frame(random, publics));
      this.counts.frames += 1;
    }
    if (random.once(6)) frames.push(random.pick(this.corpus.streams));
    let stream = join(login, ...frames);
    if (wrong === 3) stream = join(login, mutate(random, stream.subarray(login.length)));
    if (!webSocket) return join(head, stream);
    const messages = cut(random, stream).map((piece) =>
      clientFrame(random.once(40) ? random.below(16) : 2, piece, { fin: !random.once(20) })
    );
    const all = join(...messages);
    return join(head, random.once(6) ? mutate(random, all) : all);
  }

  #frame(random: Random, publics: Uint8Array[]): Uint8Array {
    const other = random.once(10) ? random.bytes(32) : random.pick(publics);
    switch (random.below(14)) {
      case 0:
        return encodeFrame(random.below(256), random.bytes(random.length(3_000)));
      case 1:
        return encodeFrame(FrameType.Ping, random.bytes(random.pick([8, 8, 8, 7, 9, 1_000])));
      case 2:
        return encodeFrame(FrameType.NotePreferred, random.bytes(random.once(20) ? 2 : 1));
      case 3:
        return encodeFrame(FrameType.WatchConns);
      case 4:
        return random.once(3) ? encodeFrame(FrameType.ClosePeer, other) : encodeFrame(0x7f);
      case 5:
        return encodeFrame(
          FrameType.ForwardPacket,
          random.pick(publics),
          other,
          random.bytes(random.length(2_000)),
        );
      case 6: { // a header that lies about what follows
        const frame = encodeSendPacket(other, random.bytes(random.below(80)));
        if (random.once(4)) new DataView(frame.buffer).setUint32(1, random.word());
        return frame;
      }
      case 7: // the start of a disco packet
        return encodeSendPacket(
          other,
          join(
            Uint8Array.of(0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac),
            random.bytes(random.pick([55, 56, 57])),
          ),
        );
      case 8:
        return encodeSendPacket(other, new Uint8Array(random.pick([16_000, 65_535, 65_536])));
      default:
        return encodeSendPacket(other, new Uint8Array(random.length(1_400)).fill(random.below(5)));
    }
  }

  async #play(plan: Plan): Promise<void> {
    let conn: Deno.TcpConn;
    try {
      conn = await Deno.connect({ hostname: "127.0.0.1", port: this.relay.address.port });
    } catch {
      return; // The machine is out of ports for a moment; honest clients wait for better times.
    }
    this.counts.connections += 1;
    conn.setNoDelay(true);
    const reading = plan.reads ? drain(conn) : Promise.resolve();
    const giveUp = setTimeout(() => tryClose(conn), 3_000);
    try {
      for (const piece of plan.pieces) {
        for (let at = 0; at < piece.length;) at += await conn.write(piece.subarray(at));
      }
      if (plan.end === "half") await conn.closeWrite();
      if (plan.end !== "close") await pause(plan.lingerMs);
    } catch {
      // The relay has ended it, as it may.
    }
    clearTimeout(giveUp);
    tryClose(conn);
    await reading;
  }

  /** A fresh pair, and a packet between them. */
  async #honest(): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const clients: TestClient[] = [];
    const abort = () => clients.forEach((client) => client.close());
    signal.addEventListener("abort", abort);
    try {
      for (let i = 0; i < 2; i++) {
        const conn = await Deno.connect({ hostname: "127.0.0.1", port: this.relay.address.port });
        const client = new TestClient(conn);
        clients.push(client);
        await client.send(upgradeRequest("x", { fastStart: true }));
        await client.login();
      }
      const [from, to] = clients as [TestClient, TestClient];
      await from.send(encodeSendPacket(to.publicKey, Uint8Array.of(1, 2, 3)));
      for (;;) {
        const frame = await to.next();
        if (frame === undefined) throw new Error("its connection ended");
        if (frame.type === FrameType.RecvPacket) break;
      }
    } catch (error) {
      const why = signal.aborted ? `not within ${PATIENCE_MS} ms` : (error as Error).message;
      throw new Error(`an honest client does not get a packet through: ${why}`);
    } finally {
      signal.removeEventListener("abort", abort);
      clients.forEach((client) => client.close());
    }
  }

  /** Waits until nothing of a batch is left. */
  async #settled(number: number): Promise<void> {
    const most = this.#handles === 0 ? Infinity : this.#handles + SPARE_HANDLES;
    for (const deadline = Date.now() + PATIENCE_MS;;) {
      const { gauges } = await this.relay.snapshot();
      const left = {
        connections: gauges.connections,
        keys: gauges.keysLocal + gauges.keysRemote,
        loggingIn: gauges.loggingIn,
        watchers: gauges.watchers,
        queuedBytes: gauges.queuedBytes,
      };
      const open = handles();
      if (Object.values(left).every((count) => count === 0) && open <= most) break;
      if (Date.now() > deadline) {
        throw new Error(`left over: ${JSON.stringify({ ...left, handles: open, most })}`);
      }
      await pause(20);
    }
    const { heapUsed } = Deno.memoryUsage();
    if (number === 50) this.#heap = heapUsed;
    if (this.#heap > 0 && heapUsed > this.#heap + HEAP_BOUND) {
      throw new Error(`the heap grew from ${this.#heap} to ${heapUsed} bytes`);
    }
  }
}

function handles(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    while (await conn.read(buffer) !== null);
  } catch {
    // It was closed.
  }
}

function tryClose(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It was closed before.
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
