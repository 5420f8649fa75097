/**
 * The links to the other relays of the region.
 */
import { getLogger } from "@logtape/logtape";
import type { Link, RelayServer } from "../server/mod.ts";
import type { LinkState } from "../state/mod.ts";
import { type MeshPeer, nameOf } from "./config.ts";
import { type Dialer, dialRelay } from "./dial.ts";
import { listen } from "./listen.ts";
import { tryClose } from "./stream.ts";

const logger = getLogger(["nexd", "mesh"]);

/** Times of a link, in milliseconds. */
export interface MeshTimes {
  /** From dialing to the end of the login. */
  connectMs: number;
  /** A link on which nothing comes for this long is dead: two keep-alives were missed. */
  readMs: number;
  /** From the end of a link, or a failed attempt, to the next, plus a random part of a tenth. */
  retryMs: number;
}

/**
 * Longest wait, in milliseconds, after a link that was good: its relay may have other workers, or a
 * successor on the same port. Once in `retryMs`.
 */
const SOON_MS = 250;

/** From the link to a successor to the end of the old one, in ms: it has told of its keys by then. */
const HAND_OVER_MS = 200;

const TIMES: MeshTimes = { connectMs: 10_000, readMs: 120_000, retryMs: 5_000 };

/** What joins a mesh. */
export interface MeshOptions extends Dialer {
  peers: MeshPeer[];
}

/** How a link ended: the other side is this relay; it is over; another should be made beside it. */
type LinkEnd = "self" | "over" | "restarting";

/** One other relay: dialed, and dialed again, until it turns out to be this one. */
class Neighbour {
  readonly #relay: RelayServer;
  readonly #peer: MeshPeer;
  readonly #dialer: Dialer;
  readonly #times: MeshTimes;
  readonly #stop: AbortSignal;
  readonly done: Promise<void>;
  #state: LinkState["state"] = "connecting";
  #since = Date.now();
  #error: string | undefined;
  #link: Link | undefined;
  /** Ends the link to a relay that said that it restarts; it carries on until there is another. */
  #leave: (() => void) | undefined;
  #left: Promise<void> = Promise.resolve();
  /** Whether the last attempt made a link. */
  #wasGood = false;
  #sent = 0;
  #dropped = 0;

  constructor(
    relay: RelayServer,
    peer: MeshPeer,
    dialer: Dialer,
    times: MeshTimes,
    stop: AbortSignal,
  ) {
    this.#relay = relay;
    this.#peer = peer;
    this.#dialer = dialer;
    this.#times = times;
    this.#stop = stop;
    this.done = this.#run();
  }

  get state(): LinkState {
    return {
      name: nameOf(this.#peer),
      state: this.#state,
      since: this.#since,
      keys: this.#link?.peers.size ?? 0,
      sentPackets: this.#sent + (this.#link?.sentPackets ?? 0),
      droppedPackets: this.#dropped + (this.#link?.droppedPackets ?? 0),
      error: this.#error,
    };
  }

  #become(state: LinkState["state"], error?: string): void {
    if (state !== this.#state) this.#since = Date.now();
    this.#state = state;
    this.#error = error;
  }

  async #run(): Promise<void> {
    const name = nameOf(this.#peer);
    let told: string | undefined;
    let soonAt = -Infinity;
    while (!this.#stop.aborted) {
      let end: LinkEnd | undefined;
      try {
        end = await this.#once();
        if (end === "self") {
          this.#become("self");
          logger.info("{name} is this relay itself", { name });
          return;
        }
        told = undefined;
        this.#become("connecting", end === "over" ? "it ended the connection" : "it restarts");
      } catch (error) {
        this.#become("connecting", reasonOf(error));
      }
      if (this.#stop.aborted) break;
      // Once for each reason, not each five seconds.
      if (told !== this.#error) {
        logger.warn("No link to {name}: {error}", { name, error: this.#error });
        told = this.#error;
      }
      const { retryMs } = this.#times;
      const soon = this.#wasGood && performance.now() - soonAt >= retryMs;
      if (soon) soonAt = performance.now();
      const wait = soon ? SOON_MS * Math.random() : retryMs * (1 + Math.random() / 10);
      // The old relay does not live for long.
      if (!soon || end !== "restarting") await pause(wait, this.#stop);
    }
    await this.#left;
    this.#become("closed");
  }

  /** One link, from dialing to its end, or until the other side says that it restarts. */
  async #once(): Promise<LinkEnd> {
    const { connectMs, readMs } = this.#times;
    this.#wasGood = false;
    const name = nameOf(this.#peer);
    const attempt = new AbortController();
    const timer = setTimeout(
      () => attempt.abort(new Error(`no login within ${connectMs / 1000} s`)),
      connectMs,
    );
    const signal = AbortSignal.any([this.#stop, attempt.signal]);
    let dialed;
    try {
      dialed = await dialRelay(this.#peer, this.#dialer, signal);
    } finally {
      clearTimeout(timer);
    }
    if (dialed === undefined) return "self";
    this.#wasGood = true;
    const { conn, frames } = dialed;
    const link = this.#link = this.#relay.region.open(name, false, conn);
    const stop = () => tryClose(conn);
    this.#stop.addEventListener("abort", stop);
    this.#become("connected");
    logger.info("Linked with {name}", { name });
    // What is sent to a relay that ends itself is lost; what was sent before we end it is not.
    const leave = this.#leave;
    if (leave !== undefined) void pause(HAND_OVER_MS, this.#stop).then(leave);
    const restarting = Promise.withResolvers<"restarting">();
    const listening = listen(this.#relay, link, conn, frames, readMs, {
      restarting: () => restarting.resolve("restarting"),
    }).finally(() => {
      this.#stop.removeEventListener("abort", stop);
      if (this.#link === link) this.#link = undefined;
      this.#sent += link.sentPackets;
      this.#dropped += link.droppedPackets;
    });
    if (this.#stop.aborted) stop();
    const end = await Promise.race([listening.then(() => "over" as const), restarting.promise]);
    if (end === "restarting") {
      this.#leave?.();
      this.#leave = stop;
      this.#left = listening.catch(() => {});
    }
    return end;
  }
}

/** A relay's links to the others of its region. */
export class Mesh {
  readonly #stop = new AbortController();
  readonly #neighbours: Neighbour[];

  private constructor(relay: RelayServer, options: MeshOptions, times: MeshTimes) {
    const { peers, ...dialer } = options;
    const { signal } = this.#stop;
    this.#neighbours = peers.map((peer) => new Neighbour(relay, peer, dialer, times, signal));
  }

  /**
   * Links `relay` with its peers and keeps it linked. This relay itself may be among them.
   *
   * @param times for tests
   */
  static start(relay: RelayServer, options: MeshOptions, times: Partial<MeshTimes> = {}): Mesh {
    return new Mesh(relay, options, { ...TIMES, ...times });
  }

  links(): LinkState[] {
    return this.#neighbours.map((neighbour) => neighbour.state);
  }

  /** Ends all links; what was learned through them is forgotten. */
  async close(): Promise<void> {
    this.#stop.abort(new Error("the mesh is closed"));
    await Promise.all(this.#neighbours.map((neighbour) => neighbour.done));
  }
}

/** Why a link ended, in few words. */
function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.UnexpectedEof) return "it ended the connection";
  return error instanceof Error ? error.message : String(error);
}

/** Waits, but not beyond the stop. */
function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) return resolve();
    const timer = setTimeout(done, ms);
    stop.addEventListener("abort", done);
    function done() {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      resolve();
    }
  });
}
