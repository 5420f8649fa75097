/**
 * Whether the DNS knows a name. One that it knows needs no pin, and a pin could take it away from
 * whoever it belongs to.
 *
 * @module
 */

/** How long a pass waits for answers about names that are new, ms, and an answer altogether. */
const FIRST = 500, LIMIT = 5_000;
/** How often a name that is not pinned is asked for again, ms. */
const AGAIN = 60_000;

/** Asks the DNS, and nothing else, for a name's addresses; none: it does not know the name. Rejects without an answer. */
export type AskDns = (name: string, signal: AbortSignal) => Promise<string[]>;

/** By the system's name servers; the hosts file is not looked at. */
export async function askDns(name: string, signal: AbortSignal): Promise<string[]> {
  const of = async (kind: "A" | "AAAA") => {
    try {
      return await Deno.resolveDns(name, kind, { signal });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  };
  return (await Promise.all([of("A"), of("AAAA")])).flat();
}

interface Name {
  askedAt: number;
  /** Empty while it is not known. */
  addresses: string[];
}

/** See the top of the file. */
export class KnownNames {
  readonly #ask: AskDns;
  readonly #now: () => number;
  readonly #names = new Map<string, Name>();
  readonly #closing = new AbortController();

  constructor(ask: AskDns, now: () => number) {
    this.#ask = ask;
    this.#now = now;
  }

  /**
   * The addresses that the DNS gives to each of `names`, as far as it has answered; waits a moment for
   * those that are new.
   *
   * @param pinned names that have a pin: they are not asked for, as some name servers on a host
   *   answer out of the hosts file
   */
  async addressesOf(
    names: readonly string[],
    pinned: ReadonlySet<string>,
  ): Promise<Map<string, readonly string[]>> {
    for (const name of this.#names.keys()) if (!names.includes(name)) this.#names.delete(name);
    const fresh: Promise<void>[] = [];
    for (const name of names) {
      const known = this.#names.get(name);
      if (pinned.has(name) || (known !== undefined && this.#now() - known.askedAt < AGAIN)) {
        continue;
      }
      const asked = this.#begin(name, known?.addresses ?? []);
      if (known === undefined) fresh.push(asked);
    }
    if (fresh.length > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, FIRST);
      await Promise.race([Promise.all(fresh), promise]);
      clearTimeout(timer);
    }
    return new Map(names.map((name) => [name, this.#names.get(name)?.addresses ?? []]));
  }

  #begin(name: string, addresses: string[]): Promise<void> {
    const entry: Name = { askedAt: this.#now(), addresses };
    this.#names.set(name, entry);
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(LIMIT)]);
    return this.#ask(name, signal)
      .then((answer) => void (entry.addresses = answer))
      .catch(() => {});
  }

  /** Ends what is being asked. */
  close(): void {
    this.#closing.abort();
  }
}
