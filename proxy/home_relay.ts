/** Which relay is home, and how to move to another without losing packets. */
import { getLogger } from "@logtape/logtape";
import { type RelayAddress, relayName } from "./connection/mod.ts";
import { type ClientOptions, DerpClient, type RelayStatus } from "./derp_client.ts";

const log = getLogger(["nexd", "proxy"]);

/** How long the relay left behind is still listened to. Peers follow within this. Milliseconds. */
const LINGER_MS = 2_000;

/**
 * This long before the end of that, the new connection speaks: what was under way on the old one
 * when it was left may have drawn packets back to it.
 */
const SPEAK_BEFORE_MS = 500;

/** See the top of the file. */
export class HomeRelay {
  readonly #o: ClientOptions;
  #caCerts: string[];
  #client: DerpClient;
  /** The relay that is to be home, not reached yet. */
  #next: DerpClient | undefined;
  /** Relays left behind, which may still bring packets, and when they are closed. */
  readonly #leaving = new Map<DerpClient, ReturnType<typeof setTimeout> | undefined>();
  /** Drops of relays that were closed. */
  readonly #oldDrops: Record<string, number> = {};
  #started = false;
  #closed = false;

  constructor(options: ClientOptions) {
    this.#o = options;
    this.#caCerts = options.caCerts;
    this.#client = this.#newClient(options.relay);
  }

  /** The relay packets go to. */
  get client(): DerpClient {
    return this.#client;
  }

  /** Begins to connect. */
  start(): void {
    this.#started = true;
    this.#client.start();
    this.#next?.start();
  }

  #newClient(relay: RelayAddress, before?: RelayStatus): DerpClient {
    const client: DerpClient = new DerpClient({
      ...this.#o,
      relay,
      caCerts: this.#caCerts,
      onState: () => this.#clientChanged(client),
      onRestarting: () => this.#reconnect(client),
      ...(before === undefined ? {} : { before }),
    });
    return client;
  }

  /**
   * The home relay restarts: connects anew to the same address, where its replacement may already
   * be. The old connection is left when the new one stands, so that nothing is lost in between.
   */
  #reconnect(client: DerpClient): void {
    if (this.#closed || client !== this.#client || this.#next !== undefined) return;
    log.info("Relay {relay} restarts; connecting anew", { relay: relayName(client.relay) });
    this.#next = this.#newClient(client.relay, client.status());
    this.#next.start();
  }

  /**
   * Makes another relay home. The one before is left when the new one has let this client in, and
   * then still heard for 2 s; without a connection it is left at once.
   *
   * @param caCerts authorities trusted beside the system's, if others than before
   */
  set(relay: RelayAddress, caCerts?: string[]): void {
    const sameTrust = caCerts === undefined || sameList(caCerts, this.#caCerts);
    if (!sameTrust) this.#caCerts = caCerts;
    if (sameTrust && sameRelay(relay, (this.#next ?? this.#client).relay)) return;
    if (this.#next !== undefined) this.#leave(this.#next, 0);
    this.#next = undefined;
    // Back to where packets still go.
    if (sameTrust && sameRelay(relay, this.#client.relay)) return;
    log.info("Changing to relay {relay}", { relay: relayName(relay) });
    const client = this.#newClient(relay);
    if (this.#client.connected) this.#next = client;
    else this.#replaceWith(client, 0);
    if (this.#started) client.start();
    this.#o.onState();
  }

  #clientChanged(client: DerpClient): void {
    if (this.#closed) return;
    if (client === this.#next && client.connected) this.#replaceWith(client, LINGER_MS);
    else if (client === this.#client && !client.connected && this.#next !== undefined) {
      // The old relay went before the new one answered: packets are held for the new one.
      this.#replaceWith(this.#next, 0);
    }
    this.#o.onState();
  }

  #replaceWith(client: DerpClient, lingerMs: number): void {
    const before = this.#client;
    this.#client = client;
    if (this.#next === client) this.#next = undefined;
    this.#leave(before, lingerMs);
  }

  #leave(client: DerpClient, lingerMs: number): void {
    // A second login of the same key would draw packets away from the new one.
    client.retire();
    const end = async () => {
      this.#leaving.set(client, undefined);
      await client.close();
      if (!this.#leaving.delete(client)) return;
      addDrops(this.#oldDrops, client);
    };
    if (lingerMs === 0) return void end();
    const first = setTimeout(() => {
      this.#client.speak();
      this.#leaving.set(client, setTimeout(() => void end(), SPEAK_BEFORE_MS));
    }, lingerMs - SPEAK_BEFORE_MS);
    this.#leaving.set(client, first);
  }

  /** Packets thrown away at all relays so far, by reason. */
  drops(): Record<string, number> {
    const drops = { ...this.#oldDrops };
    for (const client of this.#clients()) addDrops(drops, client);
    return drops;
  }

  #clients(): DerpClient[] {
    const next = this.#next === undefined ? [] : [this.#next];
    return [this.#client, ...next, ...this.#leaving.keys()];
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    await Promise.all(this.#clients().map((client) => client.close()));
  }
}

function addDrops(drops: Record<string, number>, client: DerpClient): void {
  for (const [reason, count] of Object.entries(client.drops)) {
    drops[reason] = (drops[reason] ?? 0) + count;
  }
  drops.malformed = (drops.malformed ?? 0) + client.malformed;
}

function sameList(a: string[], b: string[]): boolean {
  return a.length === b.length && a.every((text, i) => text === b[i]);
}

function sameRelay(a: RelayAddress, b: RelayAddress): boolean {
  return a.host === b.host && a.port === b.port && a.address === b.address &&
    (a.plain ?? false) === (b.plain ?? false) &&
    (a.ca === undefined) === (b.ca === undefined) && sameList(a.ca ?? [], b.ca ?? []);
}
