/**
 * One raw port for two users: the rounds of STUN, and the probes of paths. Each packet is given to
 * the one that it is for; every raw socket costs a look at each UDP packet of the host, so there is
 * one.
 *
 * @module
 */
import { PROBE_MAGIC } from "./packet.ts";
import type { Family, StunPort, Take } from "./types.ts";

/** What a user is for. */
type Use = "stun" | "probe";

interface Listener {
  take: Take;
  failed(reason: string): void;
}

/** See the top of the file. */
export class SharedPort {
  readonly #open: (port: number) => StunPort;
  #shared: Shared | undefined;

  /** @param open opens the port itself; may throw, and then {@link lease} does */
  constructor(open: (port: number) => StunPort) {
    this.#open = open;
  }

  /** The port for one use; close it like any other. Another number than before makes a new one. */
  lease(port: number, use: Use): StunPort {
    if (this.#shared?.port !== port || this.#shared.closed) {
      this.#shared = new Shared(this.#open(port));
    }
    return this.#shared.lease(use);
  }
}

class Shared {
  readonly port: number;
  closed = false;
  readonly #port: StunPort;
  readonly #leases = new Set<StunPort>();
  readonly #listeners = new Map<Use, Listener>();
  #listening = false;
  /** The port is being told to be quiet. */
  #quieting: Promise<void> | undefined;

  constructor(port: StunPort) {
    this.#port = port;
    this.port = port.port;
  }

  lease(use: Use): StunPort {
    const port = this.#port;
    const quiet = async () => {
      this.#listeners.delete(use);
      if (this.#listeners.size === 0) await this.#quiet();
    };
    const lease: StunPort = {
      port: port.port,
      get families() {
        return port.families;
      },
      get refused() {
        return port.refused;
      },
      send: (family: Family, message: Uint8Array, address: string, to: number) =>
        port.send(family, message, address, to),
      listen: (take, failed) => {
        this.#listeners.set(use, { take, failed });
        this.#listen();
      },
      quiet,
      close: async () => {
        if (!this.#leases.delete(lease)) return;
        await quiet();
        if (this.#leases.size > 0 || this.closed) return;
        this.closed = true;
        await port.close();
      },
    };
    this.#leases.add(lease);
    return lease;
  }

  #listen(): void {
    if (this.#listening || this.#quieting !== undefined) return;
    this.#listening = true;
    this.#port.listen(
      (datagram, address, from) => {
        const use = isProbe(datagram) ? "probe" : "stun";
        this.#listeners.get(use)?.take(datagram, address, from);
      },
      (reason) => {
        const listeners = [...this.#listeners.values()];
        this.#listeners.clear();
        void this.#quiet();
        for (const { failed } of listeners) failed(reason);
      },
    );
  }

  #quiet(): Promise<void> {
    if (!this.#listening) return this.#quieting ?? Promise.resolve();
    this.#listening = false;
    return this.#quieting = this.#port.quiet().finally(() => {
      this.#quieting = undefined;
      // Somebody may have come meanwhile.
      if (this.#listeners.size > 0 && !this.closed) this.#listen();
    });
  }
}

function isProbe(datagram: Uint8Array): boolean {
  return datagram.length >= 4 &&
    new DataView(datagram.buffer, datagram.byteOffset, 4).getUint32(0) === PROBE_MAGIC;
}
