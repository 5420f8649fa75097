/**
 * One connection to one relay, from the dial to its end. It is made once and never revived;
 * `DerpClient` makes the next one.
 */
import {
  BoxKey,
  decodeHealth,
  decodePeerGone,
  decodePing,
  decodeRestarting,
  decodeServerKey,
  DerpError,
  encodeClientInfo,
  encodeNotePreferred,
  encodePing,
  encodePong,
  FrameType,
  KEY_LENGTH,
  openServerInfo,
  PING_LENGTH,
  PROTOCOL_VERSION,
  type ServerInfo,
  upgradeRequest,
} from "../../relay/derp/mod.ts";
import { RelayConnectionError, type RelayFailure } from "../error.ts";
import { dial, hostHeader, type RelayAddress, relayName, tryClose } from "./dial.ts";
import { FrameInput } from "./frame_input.ts";
import { type ConnectionLimits, DEFAULT_LIMITS, Liveness } from "./liveness.ts";
import type { SendQueue } from "./send_queue.ts";

/** Answers to Pings that wait to be written; a relay that asks for more gets fewer. */
const MAX_CONTROL = 16;

/** Characters of a relay's own words that are kept. */
const MAX_TEXT = 200;

/** What a connection tells. Called synchronously; memory handed in is gone afterwards. */
export interface RelayEvents {
  /** A packet: the source's key at `key` of `buf`, the packet at `offset`. */
  packet(buf: Uint8Array, key: number, offset: number, length: number): void;
  /** What was read has been walked; nothing is read before the promise, if any, is done. */
  batchEnd(): Promise<void> | undefined;
  /** A peer left the relay (reason 0) or is not there (1). The key is a copy. */
  peerGone(key: Uint8Array, reason: number): void;
  /** The relay says what is wrong with this connection; empty: nothing any more. */
  health(problem: string): void;
  /** The relay will restart: reconnect after so many milliseconds, and keep trying so long. */
  restarting(reconnectMs: number, tryMs: number): void;
}

/** Where outgoing frames come from. */
export interface FrameSource {
  /** A queue to write, or undefined when nothing waits. */
  take(): SendQueue | undefined;
  /** The queue is written (or lost with the connection) and free again. */
  done(queue: SendQueue, written: boolean): void;
}

/** How to connect. */
export interface ConnectionOptions {
  relay: RelayAddress;
  /** PEM texts of authorities trusted beside the system's. */
  caCerts: string[];
  /** The identity: a WireGuard private key. */
  privateKey: Uint8Array;
  events: RelayEvents;
  source: FrameSource;
  /** The relay is told that it is this client's home. Default true. */
  preferred?: boolean;
  /** A Ping was answered. */
  onPong?: () => void;
  /** Default {@linkcode DEFAULT_LIMITS}. */
  limits?: ConnectionLimits | undefined;
}

/** See the top of the file. */
export class RelayConnection {
  /** The relay's public key, once it said so. */
  serverKey: Uint8Array | undefined;
  /** What the relay said at login. */
  serverInfo: ServerInfo | undefined;
  /** Settles with the reason when the connection is over. Never rejects. */
  readonly ended: Promise<RelayConnectionError>;

  readonly #o: ConnectionOptions;
  readonly #name: string;
  readonly #abort = new AbortController();
  readonly #end = Promise.withResolvers<RelayConnectionError>();
  readonly #loggedIn = Promise.withResolvers<void>();
  readonly #limits: ConnectionLimits;
  readonly #live: Liveness;
  readonly #control: Uint8Array[] = [];
  #phase: "head" | "key" | "info" | "in" | "over" = "head";
  #conn: Deno.Conn | undefined;
  #input: FrameInput | undefined;
  #box: BoxKey | undefined;
  #writing = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: ConnectionOptions) {
    this.#o = options;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#live = new Liveness(this.#limits);
    this.#name = relayName(options.relay);
    this.ended = this.#end.promise;
    this.#loggedIn.promise.catch(() => {});
  }

  /** How the relay answers Pings. */
  get liveness(): Pick<Liveness, "rttMs" | "averageMs" | "pongs" | "silentMs"> {
    return this.#live;
  }

  /** RecvPacket frames that could not be read. */
  get malformed(): number {
    return this.#input?.malformed ?? 0;
  }

  /**
   * Dials and logs in. Packets may be queued and come in from then on.
   *
   * @throws RelayConnectionError; the connection is over then
   */
  async open(): Promise<void> {
    const { connectMs, tickMs } = this.#limits;
    const timer = setTimeout(
      () =>
        this.#fail(
          "timeout",
          `Cannot log in to relay ${this.#name}: not done within ${connectMs / 1000} s; ` +
            "check that the relay is up and a firewall lets TCP through",
        ),
      connectMs,
    );
    try {
      const { relay, caCerts } = this.#o;
      this.#conn = await dial(relay, { caCerts, signal: this.#abort.signal });
      this.#input = new FrameInput({ packet: this.#packet, frame: this.#frame });
      this.#write(upgradeRequest(hostHeader(relay)));
      void this.#read(this.#conn, this.#input);
      await this.#loggedIn.promise;
    } catch (error) {
      this.#over(
        error instanceof RelayConnectionError
          ? error
          : new RelayConnectionError("network", String(error), { cause: error }),
      );
      throw await this.ended;
    } finally {
      clearTimeout(timer);
    }
    this.#timer = setInterval(this.#tick, tickMs);
    this.ping();
  }

  /** Ends the connection; `why` is what {@linkcode ended} then says. */
  close(why = `Closed the connection to relay ${this.#name}`): void {
    this.#fail("closed", why);
  }

  /** Sends a Ping now: the relay sends this key's packets to the connection that spoke last. */
  ping(): void {
    if (this.#phase !== "over") this.#write(encodePing(this.#live.ping(performance.now())));
  }

  /** Tells the relay whether it is this client's home; for its statistics only. */
  prefer(home: boolean): void {
    if (this.#phase === "in") this.#write(encodeNotePreferred(home));
  }

  /** Asks for nothing any more: another connection of this key has taken over. */
  fallSilent(): void {
    clearInterval(this.#timer);
  }

  #fail(reason: RelayFailure, message: string, cause?: unknown): void {
    this.#over(new RelayConnectionError(reason, message, { cause }));
  }

  #over(error: RelayConnectionError): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    clearInterval(this.#timer);
    this.#abort.abort(error);
    if (this.#conn !== undefined) tryClose(this.#conn);
    this.#loggedIn.reject(error);
    this.#end.resolve(error);
  }

  // Reading

  async #read(conn: Deno.Conn, input: FrameInput): Promise<void> {
    try {
      while (this.#phase !== "over") {
        const count = await conn.read(input.space());
        if (this.#isOver()) return;
        if (count === null) return this.#closedByRelay();
        this.#live.received(performance.now());
        input.filled(count);
        if (this.#phase === "head" && !this.#readHead(input)) continue;
        let busy: Promise<void> | undefined;
        try {
          input.walk();
        } finally {
          // Also what came before a broken frame is sent on now, while its bytes are here.
          busy = this.#o.events.batchEnd();
        }
        if (busy !== undefined) await busy;
      }
    } catch (error) {
      if (error instanceof DerpError) {
        this.#fail("protocol", `Cannot use relay ${this.#name}: ${error.message}`, error);
      } else this.#closedByRelay(error);
    }
  }

  /** The compiler cannot know that an await changes the phase. */
  #isOver(): boolean {
    return this.#phase === "over";
  }

  #closedByRelay(cause?: unknown): void {
    if (this.#phase === "in") {
      return this.#fail("closed", `Relay ${this.#name} closed the connection`, cause);
    }
    this.#fail(
      "login",
      `Cannot log in to relay ${this.#name}: it closed the connection; ` +
        "it may not admit this key, or is no DERP relay",
      cause,
    );
  }

  #readHead(input: FrameInput): boolean {
    const head = input.takeHead();
    if (head === undefined) return false;
    const status = /^HTTP\/1\.[01] (\d{3})[^\r\n]*/.exec(head);
    if (status?.[1] !== "101") {
      const line = printable(head.slice(0, head.indexOf("\r\n"))).slice(0, 80);
      this.#fail(
        "http",
        `Cannot log in to relay ${this.#name}: it answered "${line}"; ` +
          "check that host and port are those of a DERP relay",
      );
      return false;
    }
    this.#phase = "key";
    return true;
  }

  readonly #packet = (buf: Uint8Array, key: number, offset: number, length: number): void => {
    if (this.#phase === "in") this.#o.events.packet(buf, key, offset, length);
    else if (this.#phase !== "over") throw new DerpError("a packet came before the login was done");
  };

  readonly #frame = (type: number, payload: Uint8Array): void => {
    switch (this.#phase) {
      case "in":
        return this.#handle(type, payload);
      case "key":
        return this.#handleServerKey(type, payload);
      case "info":
        return this.#handleServerInfo(type, payload);
      default:
    }
  };

  #handleServerKey(type: number, payload: Uint8Array): void {
    if (type !== FrameType.ServerKey) throw new DerpError(`frame ${type} came before ServerKey`);
    const { privateKey } = this.#o;
    this.serverKey = decodeServerKey(payload);
    this.#box = new BoxKey(privateKey, this.serverKey);
    this.#phase = "info";
    const info = { version: PROTOCOL_VERSION, canAckPings: true };
    this.#write(encodeClientInfo(privateKey, this.serverKey, info));
    this.#write(encodeNotePreferred(this.#o.preferred ?? true));
  }

  #handleServerInfo(type: number, payload: Uint8Array): void {
    if (type !== FrameType.ServerInfo) throw new DerpError(`frame ${type} came before ServerInfo`);
    this.serverInfo = openServerInfo(this.#box!, payload);
    this.#box = undefined;
    this.#phase = "in";
    this.#loggedIn.resolve();
  }

  /** A frame with a payload too short for its type is dropped, as the reference client does. */
  #handle(type: number, payload: Uint8Array): void {
    const { events } = this.#o;
    switch (type) {
      case FrameType.Ping:
        if (payload.length >= PING_LENGTH) this.#write(encodePong(decodePing(payload)));
        return;
      case FrameType.Pong:
        if (payload.length < PING_LENGTH) return;
        this.#live.pong(payload, performance.now());
        return this.#o.onPong?.();
      case FrameType.PeerGone:
        if (payload.length < KEY_LENGTH) return;
        {
          const { key, reason } = decodePeerGone(payload);
          events.peerGone(key, reason);
        }
        return;
      case FrameType.Health:
        return events.health(printable(decodeHealth(payload)).slice(0, MAX_TEXT));
      case FrameType.Restarting:
        if (payload.length < 8) return;
        {
          const { reconnectMs, tryMs } = decodeRestarting(payload);
          events.restarting(reconnectMs, tryMs);
        }
        return;
      default:
        // KeepAlive needs no answer; others are not for a client, or of a later version.
    }
  }

  // Writing

  /** Starts to write what waits, unless a write is under way: that one will take it along. */
  flush(): void {
    if (!this.#writing && this.#phase === "in") void this.#writeAll();
  }

  /** Queues a rare frame, ahead of packets. */
  #write(frame: Uint8Array): void {
    if (this.#control.length >= MAX_CONTROL) return;
    this.#control.push(frame);
    if (!this.#writing) void this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    const conn = this.#conn!;
    let queue: SendQueue | undefined;
    this.#writing = true;
    try {
      while (this.#phase !== "over") {
        for (let frame; (frame = this.#control.shift()) !== undefined;) {
          await this.#writeBytes(conn, frame);
        }
        // Packets wait for the login: until then the relay does not know whose they are.
        queue = this.#phase === "in" ? this.#o.source.take() : undefined;
        if (queue === undefined) break;
        for (const segment of queue.segments()) await this.#writeBytes(conn, segment);
        this.#live.sent(performance.now());
        this.#o.source.done(queue, true);
        queue = undefined;
      }
    } catch (error) {
      this.#closedByRelay(error);
    } finally {
      this.#writing = false;
      this.#live.writeEnded();
      if (queue !== undefined) this.#o.source.done(queue, false);
    }
  }

  async #writeBytes(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
    this.#live.writeStarted(performance.now());
    for (let at = 0; at < bytes.length;) {
      at += await conn.write(at === 0 ? bytes : bytes.subarray(at));
    }
  }

  readonly #tick = (): void => {
    const verdict = this.#live.check(performance.now());
    if (verdict === "ping") this.#write(encodePing(this.#live.ping(performance.now())));
    else if (verdict !== undefined) {
      this.#fail("timeout", `Relay ${this.#name} fell silent: ${verdict}`);
    }
  };
}

/** A relay's words, without anything that could move the cursor of a terminal. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.slice(0, 4 * MAX_TEXT).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ");
}
