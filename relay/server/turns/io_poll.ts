/**
 * Lets the runtime look which sockets are ready, now.
 *
 * While something is always ready to run, the runtime looks at its sockets only every so many turns
 * of its loop (61, by its scheduler's default): a busy relay would notice a quiet client's packet
 * after a tenth of a second. A datagram to itself can be seen by looking only, so waiting for one
 * makes the runtime look, and with it come all other sockets.
 */

/** A datagram that does not come must not hold anybody up. */
const LOST_MS = 20;

export class IoPoll {
  readonly #room = new Uint8Array(1);
  readonly #byte = new Uint8Array(1);
  #socket: Deno.DatagramConn | undefined;
  #unusable = false;
  #done: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #finish = () => {
    clearTimeout(this.#timer);
    const done = this.#done;
    this.#done = undefined;
    done?.();
  };

  /** Has `done` called once the sockets have been looked at. False where that cannot be done. */
  start(done: () => void): boolean {
    const socket = this.#open();
    if (socket === undefined) return false;
    this.#done = done;
    // The wait comes first: a datagram that is there already could be taken without looking.
    socket.receive(this.#room).then(this.#finish, this.#finish);
    socket.send(this.#byte, socket.addr).catch(this.#finish);
    this.#timer = setTimeout(this.#finish, LOST_MS);
    return true;
  }

  close(): void {
    this.#unusable = true;
    this.#socket?.close();
    this.#socket = undefined;
    this.#finish();
  }

  #open(): Deno.DatagramConn | undefined {
    if (this.#unusable) return undefined;
    try {
      return this.#socket ??= Deno.listenDatagram({
        transport: "udp",
        hostname: "127.0.0.1",
        port: 0,
      });
    } catch {
      this.#unusable = true; // no permission, or no descriptor left
      return undefined;
    }
  }
}
