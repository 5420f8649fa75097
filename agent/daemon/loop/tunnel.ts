/**
 * The WireGuard device while the agent lives: opened, and opened again when it ends by itself or
 * must be another one.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { Backoff, pause } from "../../api/mod.ts";
import { type DeviceConfig, RangeConflict, type WireGuardDevice } from "../../wireguard/mod.ts";

const log = getLogger(["nexd", "agent"]);

/** A device that lived this long is opened again at once, one that did not after a pause, ms. */
const STABLE = 10_000;

/** What it needs. */
interface TunnelParts {
  open(config: DeviceConfig): Promise<WireGuardDevice>;
  /** What to open now. */
  config(): DeviceConfig;
  onOpened(device: WireGuardDevice): void;
  /** It has to be opened again. */
  onWanted(): void;
  /** ms since the epoch */
  now(): number;
}

/** See the top of the file. */
export class Tunnel {
  readonly #parts: TunnelParts;
  readonly #opening = new Backoff({ base: 200, max: 5_000 });
  #device: WireGuardDevice | undefined;
  #wanted: string | undefined = "start";
  /** When opening was last tried. */
  #openedAt = 0;

  constructor(parts: TunnelParts) {
    this.#parts = parts;
  }

  /** The open device; undefined while there is none. */
  get device(): WireGuardDevice | undefined {
    return this.#device;
  }

  /** It is as it has to be. */
  get ready(): boolean {
    return this.#device !== undefined && this.#wanted === undefined;
  }

  /** Opens it; throws what the driver throws. */
  async open(): Promise<void> {
    this.#openedAt = this.#parts.now();
    await this.close();
    const device = await this.#parts.open(this.#parts.config());
    this.#device = device;
    this.#wanted = undefined;
    this.#parts.onOpened(device);
    void device.exited.then((reason) => {
      if (this.#device !== device) return;
      log.error("WireGuard ended: {reason}; opening it again", { reason });
      this.renew(reason);
    });
  }

  /**
   * Opens it for the first time; throws what the driver throws. While the host is in one of the
   * VPC's ranges the agent goes on without it, and {@linkcode ensure} tries again.
   */
  async start(): Promise<void> {
    try {
      await this.open();
    } catch (error) {
      if (!(error instanceof RangeConflict)) throw error;
      this.renew(error.message);
    }
  }

  /** It has to be opened again, because of `reason`. */
  renew(reason: string): void {
    this.#wanted = reason;
    this.#parts.onWanted();
  }

  /** Opens it again where that is wanted, after a pause if it did not live long. */
  async ensure(signal: AbortSignal): Promise<void> {
    if (this.#wanted === undefined) return;
    if (this.#parts.now() - this.#openedAt >= STABLE) this.#opening.reset();
    else await pause(this.#opening.next(), signal);
    if (!signal.aborted) await this.open();
  }

  /** Removes it. */
  async close(): Promise<void> {
    const device = this.#device;
    this.#device = undefined;
    await device?.close();
  }
}
