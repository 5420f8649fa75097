/** What the relay needs of a listener; `Deno.Listener` is one. */
export interface Acceptor extends Disposable {
  readonly addr: Deno.Addr;
  accept(): Promise<Deno.Conn>;
  close(): void;
}

/** Two listeners as one: where a system does not let one socket take both address families. */
export class BothListeners implements Acceptor {
  readonly #listeners: readonly Acceptor[];
  /** The accept under way of each, kept when the other one was first. */
  readonly #pending = new Map<Acceptor, Promise<void>>();
  /** Connections that came together with another one. */
  readonly #ready: Deno.Conn[] = [];

  constructor(...listeners: [Acceptor, Acceptor]) {
    this.#listeners = listeners;
  }

  get addr(): Deno.Addr {
    return this.#listeners[0]!.addr;
  }

  async accept(): Promise<Deno.Conn> {
    for (const listener of this.#listeners) {
      if (this.#pending.has(listener)) continue;
      const accepting = listener.accept().then((conn) => {
        this.#pending.delete(listener);
        // Both may come before anybody looks; the one that loses the race waits here.
        this.#ready.push(conn);
      }, (error) => {
        this.#pending.delete(listener);
        throw error;
      });
      accepting.catch(() => {}); // whoever races for it sees it
      this.#pending.set(listener, accepting);
    }
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    await Promise.race(this.#pending.values());
    return this.#ready.shift() ?? await this.accept();
  }

  close(): void {
    for (const listener of this.#listeners) listener.close();
    for (const conn of this.#ready.splice(0)) conn.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
