/**
 * A place at one relay: the connection that packets take, the one that is to follow it, and those
 * left behind, so that connecting anew loses nothing.
 */
import { getLogger } from "@logtape/logtape";
import { type RelayAddress, relayName } from "../connection/mod.ts";
import { type ClientOptions, DerpClient, type RelayStatus } from "../client/mod.ts";
import type { RouteSeat } from "./route.ts";

const log = getLogger(["nexd", "proxy"]);

/** How long the connection left behind is still listened to. Peers follow within this. Milliseconds. */
const LINGER_MS = 2_000;

/**
 * This long before the end of that, the new connection speaks: what was under way on the old one
 * when it was left may have drawn packets back to it.
 */
const SPEAK_BEFORE_MS = 500;

/** An answer to a Ping that takes longer makes a relay suspect. Milliseconds. */
export const SUSPECT_MS = 1_500;

/** A restarting relay's replacement is waited for this long before others are used. Milliseconds. */
const REPLACE_MS = 500;

/** After a move of this host, a connection that stays silent for so long is made anew. Milliseconds. */
const MOVED_MS = 400;

/** What the owner of a seat is told, and what it gives. */
export interface SeatParts {
  slot: number;
  relay: RelayAddress;
  /** For the clients; events are those of the relay's packets. */
  client: Pick<ClientOptions, "privateKey" | "caCerts" | "events">;
  /** The connection is another one, or its state changed. */
  changed(seat: Seat): void;
  now(): number;
}

/** See the top of the file. */
export class Seat implements RouteSeat {
  readonly slot: number;
  readonly relay: RelayAddress;
  /** Place in the list, and that of its region. */
  rank = 0;
  tier = 0;
  /** Still in the list. */
  listed = true;
  /** It is logged in and answers. */
  healthy = false;
  steady = true;
  /** Since when it is, or is not. */
  since: number;
  /** How often it ceased to be. */
  failures = 0;
  readonly openedAt: number;
  /** Not needed since then, or undefined. */
  idleSince: number | undefined;
  readonly #parts: SeatParts;
  #client: DerpClient;
  #next: DerpClient | undefined;
  /** Connections left behind, which may still bring packets, and when they are closed. */
  readonly #leaving = new Map<DerpClient, ReturnType<typeof setTimeout> | undefined>();
  /** Drops of connections that were closed. */
  readonly #oldDrops: Record<string, number> = {};
  #preferred = false;
  #retired = false;
  /** It will restart: it counts as healthy until then. */
  #restartsAt = Infinity;
  #movedTimer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(parts: SeatParts) {
    this.#parts = parts;
    this.slot = parts.slot;
    this.relay = parts.relay;
    this.openedAt = this.since = parts.now();
    this.#client = this.#newClient();
  }

  /** The connection that packets take. */
  get client(): DerpClient {
    return this.#client;
  }

  get connected(): boolean {
    return this.#client.connected;
  }

  /** Packets are held for it: home's always, others' until it turns out to be unreachable. */
  get opening(): boolean {
    return !this.#client.connected && !this.#retired &&
      (this.#preferred || this.#client.status().error === undefined);
  }

  /** It announced its restart and is not back yet, does not answer, or cannot be reached. */
  get going(): boolean {
    if (this.healthy || this.#restartsAt !== Infinity) return this.#restartsAt !== Infinity;
    const { pongs, silentMs } = this.#client;
    return this.connected
      ? pongs > 0 || silentMs >= SUSPECT_MS
      : this.#client.status().error !== undefined;
  }

  /** Begins to connect. */
  start(): void {
    this.#client.start();
  }

  #newClient(before?: RelayStatus): DerpClient {
    const client: DerpClient = new DerpClient({
      ...this.#parts.client,
      relay: this.relay,
      preferred: this.#preferred,
      onState: () => this.#clientChanged(client),
      onPong: () => this.look(),
      onAnnounced: () => {
        if (client !== this.#client || this.#retired) return;
        this.#restartsAt = this.#parts.now();
        this.#parts.changed(this);
      },
      onRestarting: () => this.#restart(client),
      ...(before === undefined ? {} : { before }),
    });
    return client;
  }

  #restart(client: DerpClient): void {
    if (client !== this.#client || this.#retired) return;
    log.info("Relay {relay} restarts; connecting anew", { relay: relayName(this.relay) });
    this.#restartsAt = this.#parts.now();
    this.reconnect();
  }

  /** Connects anew; the present connection is left when the new one stands, and then still heard. */
  reconnect(): void {
    if (this.#closed || this.#retired || this.#next !== undefined) return;
    this.#next = this.#newClient(this.#client.status());
    this.#next.start();
  }

  /** This host may have moved: a connection that does not answer at once is made anew. */
  moved(): void {
    if (this.#closed || this.#retired || !this.connected || this.#movedTimer !== undefined) return;
    const { pongs } = this.#client;
    const client = this.#client;
    client.speak();
    this.#movedTimer = setTimeout(() => {
      this.#movedTimer = undefined;
      if (client === this.#client && client.connected && client.pongs === pongs) this.reconnect();
    }, MOVED_MS);
  }

  #clientChanged(client: DerpClient): void {
    if (this.#closed) return;
    if (client === this.#next && client.connected) this.#replace(client, LINGER_MS);
    else if (client === this.#client && !client.connected && this.#next !== undefined) {
      // The old connection went before the new one stood: packets are held for the new one.
      this.#replace(this.#next, 0);
    } else if (client !== this.#client) return;
    this.look();
    this.#parts.changed(this);
  }

  #replace(client: DerpClient, lingerMs: number): void {
    const before = this.#client;
    this.#client = client;
    this.#next = undefined;
    if (client.connected) this.#restartsAt = Infinity;
    // A second login of the same key would draw packets away from the new one.
    before.retire();
    const end = async () => {
      this.#leaving.set(before, undefined);
      await before.close();
      if (this.#leaving.delete(before)) addDrops(this.#oldDrops, before);
    };
    if (lingerMs === 0) return void end();
    const first = setTimeout(() => {
      this.#client.speak();
      this.#leaving.set(before, setTimeout(() => void end(), SPEAK_BEFORE_MS));
    }, lingerMs - SPEAK_BEFORE_MS);
    this.#leaving.set(before, first);
  }

  /** Looks whether it is healthy; tells the owner when that changed. */
  look(): void {
    const now = this.#parts.now(), { silentMs } = this.#client;
    if (this.connected && this.#next === undefined && now - this.#restartsAt > REPLACE_MS) {
      this.#restartsAt = Infinity; // it did not restart after all
    }
    const late = this.#next !== undefined && now - this.#restartsAt > REPLACE_MS;
    const healthy = this.connected && !late && silentMs < SUSPECT_MS && this.#client.pongs > 0;
    // What is silent may be the connection alone, forgotten by a NAT.
    if (this.connected && silentMs >= SUSPECT_MS) this.reconnect();
    if (healthy === this.healthy) return;
    // A connection that took over from a healthy one has just not been asked yet.
    if (this.healthy && this.connected && this.#client.pongs === 0 && silentMs < SUSPECT_MS) return;
    this.healthy = healthy;
    this.since = now;
    if (!healthy) this.failures++;
    this.#parts.changed(this);
  }

  /** Tells the relay whether it is home. */
  prefer(home: boolean): void {
    this.#preferred = home;
    this.#client.prefer(home);
    this.#next?.prefer(home);
  }

  /** Goes on hearing what there is, and asks for nothing any more. */
  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.listed = false;
    clearTimeout(this.#movedTimer);
    this.#client.retire();
    const next = this.#next;
    this.#next = undefined;
    if (next !== undefined) void next.close();
  }

  /** Adds up packets thrown away, by reason. */
  addDropsTo(drops: Record<string, number>): void {
    for (const [reason, count] of Object.entries(this.#oldDrops)) {
      drops[reason] = (drops[reason] ?? 0) + count;
    }
    for (const client of this.#clients()) addDrops(drops, client);
  }

  #clients(): DerpClient[] {
    const next = this.#next === undefined ? [] : [this.#next];
    return [this.#client, ...next, ...this.#leaving.keys()];
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#movedTimer);
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
