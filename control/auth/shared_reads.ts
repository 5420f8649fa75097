/** A read that is under way, and how to begin the next one, if somebody waits for it. */
interface Running<T> {
  next: Promise<T> | undefined;
  begin: () => void;
}

/**
 * Reads of the same thing that are wanted at the same time share one. Whoever comes while one is under
 * way shares the one after it, so that nobody gets what was read before it asked.
 */
export class SharedReads<T> {
  readonly #running = new Map<string, Running<T>>();

  /** What `read` gives for `name`: this caller's, or another's. */
  async read(name: string, read: () => Promise<T>): Promise<T> {
    const running = this.#running.get(name);
    if (running === undefined) return await this.#start(name, read);
    running.next ??= new Promise<T>((resolve, reject) => {
      running.begin = () => void this.#start(name, read).then(resolve, reject);
    });
    return await running.next;
  }

  async #start(name: string, read: () => Promise<T>): Promise<T> {
    const running: Running<T> = { next: undefined, begin: () => this.#running.delete(name) };
    this.#running.set(name, running);
    try {
      return await read();
    } finally {
      running.begin();
    }
  }
}
