/**
 * Probes of paths from WireGuard's own port, as long as the agent runs.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { reasonOf } from "../../errors.ts";
import { RawRefusal, type StunPort, Unreachable } from "../ports/mod.ts";
import { type EngineOptions, ProbeEngine } from "./engine.ts";
import type { PathTarget, Probed } from "./peer.ts";

const log = getLogger(["nexd", "netcheck"]);

/** Longest time between two looks at what is due, ms, and least. */
const LOOK = 1_000, LEAST = 10;
/** Pause before a port that could not be had is tried again, ms. */
const REOPEN = 10_000;

/** What {@link PathProber} needs. */
export interface PathProberOptions extends Omit<EngineOptions, "send"> {
  /** WireGuard's UDP port; it may become another one. */
  port(): number;
  /** Opens it; throws {@link RawRefusal} where that cannot be. */
  openPort(port: number): StunPort;
}

/** See the top of the file. {@link run} may be called once. */
export class PathProber {
  readonly #options: PathProberOptions;
  readonly #engine: ProbeEngine;
  #port: StunPort | undefined;
  #refused: string | undefined;
  #wake: () => void = () => {};

  constructor(options: PathProberOptions) {
    this.#options = options;
    this.#engine = new ProbeEngine({
      ...options,
      acceptable: (endpoint) => options.acceptable(endpoint),
      onNews: () => options.onNews(),
      now: () => options.now(),
      send: (endpoint, message) => this.#send(endpoint, message),
    });
  }

  /** Why there are no probes; undefined: there are. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** What is wanted of which peers. */
  follow(targets: readonly PathTarget[]): void {
    this.#engine.follow(targets);
    this.#wake();
  }

  /** What is known of the ways to a peer; undefined when it was never heard. */
  probed(publicKey: string): Probed | undefined {
    return this.#port === undefined ? undefined : this.#engine.probed(publicKey);
  }

  /** This host is in another network. */
  moved(): void {
    this.#engine.moved();
    this.#wake();
  }

  /** Asks and answers until the signal aborts; then nothing of it is left. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    let triedAt = -Infinity;
    while (!signal.aborted) {
      if (this.#port?.port !== this.#options.port() && performance.now() - triedAt >= REOPEN) {
        triedAt = performance.now();
        if (await this.#open()) triedAt = -Infinity;
      }
      const due = this.#port === undefined ? LOOK : this.#tick();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, Math.min(LOOK, Math.max(LEAST, due)));
      if (signal.aborted) resolve();
      await promise;
      clearTimeout(timer);
      this.#wake = () => {};
    }
    await this.#close();
  }

  #tick(): number {
    try {
      return this.#engine.tick();
    } catch (error) {
      log.warn("path probes: {reason}", { reason: reasonOf(error) });
      return LOOK;
    }
  }

  async #open(): Promise<boolean> {
    await this.#close();
    try {
      const port = this.#options.openPort(this.#options.port());
      port.listen(
        (datagram, address, from) => this.#take(datagram, address, from),
        (reason) => {
          log.warn("no path probes any more: {reason}", { reason });
          this.#refused = reason;
          void this.#close();
        },
      );
      this.#port = port;
      this.#refused = undefined;
      return true;
    } catch (error) {
      const reason = reasonOf(error, 160);
      const level = error instanceof RawRefusal ? "info" : "warn";
      if (reason !== this.#refused) log[level]("no path probes: {reason}", { reason });
      this.#refused = reason;
      return false;
    }
  }

  async #close(): Promise<void> {
    const port = this.#port;
    this.#port = undefined;
    await port?.close();
  }

  #take(datagram: Uint8Array, address: string, from: number): void {
    try {
      if (this.#engine.receive(datagram, endpointOf(address, from))) this.#wake();
    } catch (error) {
      log.debug("path probe: {reason}", { reason: reasonOf(error) });
    }
  }

  #send(endpoint: string, message: Uint8Array): void {
    const at = endpoint.lastIndexOf(":");
    const address = endpoint.slice(0, at).replace(/^\[|\]$/g, "");
    try {
      const family = address.includes(":") ? 6 : 4;
      void this.#port?.send(family, message, address, Number(endpoint.slice(at + 1)));
    } catch (error) {
      // It counts as not answered.
      if (!(error instanceof Unreachable)) {
        log.debug("path probe to {endpoint}: {reason}", { endpoint, reason: reasonOf(error) });
      }
    }
  }
}

function endpointOf(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
