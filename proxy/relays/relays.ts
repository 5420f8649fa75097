/** The relays of a list: which one is home, and where else this host is logged in. */
import { getLogger } from "@logtape/logtape";
import { type RelayAddress, relayName } from "../connection/mod.ts";
import {
  chooseHome,
  chooseSeats,
  type HomeReason,
  type RelayView,
  SAMPLES,
  type SeatReason,
} from "./choice.ts";
import { holdOf, type Known, type ListedRelay, listOf, statusOf } from "./list.ts";
import { SLOTS } from "./route.ts";
import { Seat } from "./seat.ts";

const log = getLogger(["nexd", "proxy"]);

/** How often relays are looked at, milliseconds. */
const TICK_MS = 250;

/** Nothing is judged after so long a pause: this host was asleep or busy. Milliseconds. */
const STALLED_MS = 1_000;

/** A relay that is not needed any more is still heard for this long. Milliseconds. */
const LINGER_MS = 3_000;

/** A relay whose distance is to be measured has this long to answer. Milliseconds. */
const MEASURING_MS = 10_000;

/** A relay that was healthy for so long has not failed before. Milliseconds. */
const FORGIVEN_MS = 300_000;

/** What is told, and asked. */
export interface RelaysOptions {
  relays: readonly RelayAddress[];
  privateKey: Uint8Array;
  caCerts: string[];
  /** Packets and PeerGone of one relay; see RelayEvents. */
  packet(seat: Seat, buf: Uint8Array, key: number, offset: number, length: number): void;
  batchEnd(): Promise<void> | undefined;
  peerGone(seat: Seat, key: Uint8Array, reason: number): void;
  /** Seats, or what packets can go through, are others. */
  onSeats(): void;
  /** Logged in there, or it became home. */
  onArrived(seat: Seat): void;
  /** The connection there ended. */
  onLeft(seat: Seat): void;
  /** Whether a peer is reached through it. */
  needed(seat: Seat): boolean;
  searching(): boolean;
  /** Something that status tells is other. */
  onState(): void;
  /** Now and then, 4 times a second. */
  onTick(): void;
  /** Each second. */
  onSecond(): void;
}

/** See the top of the file. */
export class Relays {
  readonly #o: RelaysOptions;
  #list: Known[] = [];
  /** All that are open, in the order of the list; those that are not listed any more come last. */
  #seats: Seat[] = [];
  #home: Seat;
  #homeReason: HomeReason = "none-healthy";
  /**
   * When something came through each slot last. What changes with each packet is in an array of
   * numbers, because a number in a field costs memory for each change.
   */
  readonly #heardAt = new Float64Array(SLOTS).fill(-Infinity);
  /** Monotonic milliseconds, as of the last tick or event. */
  readonly #clock = Float64Array.of(performance.now());
  #timer: ReturnType<typeof setInterval> | undefined;
  #ticks = 0;
  /** Something waits for the next tick. */
  #holds = false;
  readonly #oldDrops: Record<string, number> = {};
  /** Seats through which packets can go. */
  readonly #connected = new Set<Seat>();
  readonly #closing = new Set<Promise<void>>();
  #choosing = false;
  #started = false;
  #closed = false;

  constructor(options: RelaysOptions) {
    this.#o = options;
    this.#list = listOf(options.relays, []);
    this.#home = this.#open(this.#list[0]!, "home");
    this.#home.prefer(true);
  }

  /** Begins to connect. */
  start(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    for (const seat of this.#seats) seat.start();
    this.#timer = setInterval(this.#tick, TICK_MS);
    this.#choose();
  }

  /** The relay where peers look first. */
  get home(): Seat {
    return this.#home;
  }

  /** All seats; read only. */
  get seats(): readonly Seat[] {
    return this.#seats;
  }

  /** Monotonic milliseconds; not newer than the last look. */
  get now(): number {
    return this.#clock[0]!;
  }

  get #now(): number {
    return this.#clock[0]!;
  }

  /** A packet came through a slot; `heardAt` is told as well. */
  heard(slot: number, heardAt: Float64Array): void {
    const clock = this.#clock;
    heardAt[slot] = this.#heardAt[slot] = clock[0]!;
  }

  /** Takes another list, see `Proxy.setRelays`. What is in use goes on until it is replaced. */
  set(relays: readonly RelayAddress[]): void {
    if (this.#closed || relays.length === 0) return;
    const before = this.#list;
    this.#list = listOf(relays, before);
    if (before.map(({ id }) => id).join() === this.#list.map(({ id }) => id).join()) return;
    log.info("Relays are now {relays}", {
      relays: this.#list.map(({ relay }) => relayName(relay)).join(", "),
    });
    for (const { id, seat } of before) {
      if (seat !== undefined && !this.#list.some((known) => known.id === id)) seat.retire();
    }
    this.#rank();
    this.#choose();
    this.#o.onSeats();
    this.#o.onState();
  }

  #open(known: Known, reason: SeatReason): Seat {
    const seat: Seat = new Seat({
      slot: this.#freeSlot(),
      relay: known.relay,
      client: {
        privateKey: this.#o.privateKey,
        caCerts: this.#o.caCerts,
        events: {
          packet: (buf, key, offset, length) => this.#o.packet(seat, buf, key, offset, length),
          batchEnd: this.#o.batchEnd,
          peerGone: (key, why) => this.#o.peerGone(seat, key, why),
        },
      },
      changed: this.#seatChanged,
      now: () => performance.now(),
    });
    known.seat = seat;
    known.reason = reason;
    this.#heardAt[seat.slot] = -Infinity;
    this.#seats.push(seat);
    if (this.#started) seat.start();
    return seat;
  }

  /** A slot that no seat has; the one idle for longest makes room. */
  #freeSlot(): number {
    if (this.#seats.length >= SLOTS) {
      const [oldest] = this.#seats.filter((seat) =>
        seat !== this.#home && seat.idleSince !== undefined
      )
        .sort((a, b) => a.idleSince! - b.idleSince!);
      this.#closeSeat(oldest ?? this.#seats.find((seat) => seat !== this.#home)!);
    }
    for (let slot = 0;; slot++) if (!this.#seats.some((seat) => seat.slot === slot)) return slot;
  }

  #closeSeat(seat: Seat): void {
    this.#seats = this.#seats.filter((other) => other !== seat);
    this.#connected.delete(seat);
    for (const known of this.#list) {
      if (known.seat === seat) known.seat = known.reason = undefined;
    }
    // Peers of its slot must not be taken for peers of the next one there.
    this.#o.onLeft(seat);
    if (!seat.listed) this.#home.client.speak();
    const closing = seat.close().then(() => {
      seat.addDropsTo(this.#oldDrops);
      this.#closing.delete(closing);
    });
    this.#closing.add(closing);
  }

  readonly #seatChanged = (seat: Seat): void => {
    if (this.#closed || !this.#seats.includes(seat)) return;
    this.#clock[0] = performance.now();
    const known = this.#list.find((one) => one.seat === seat);
    if (known !== undefined) this.#learn(known, seat);
    const was = this.#connected.has(seat);
    if (seat.connected) this.#connected.add(seat);
    else if (this.#connected.delete(seat)) this.#o.onLeft(seat);
    this.#choose();
    this.#o.onSeats();
    if (seat.connected && !was && this.#seats.includes(seat)) this.#o.onArrived(seat);
    this.#o.onState();
  };

  #learn(known: Known, seat: Seat): void {
    known.error = seat.client.status().error;
    if (seat.failures > 0) {
      known.failures += seat.failures;
      seat.failures = 0;
    }
    if (seat.healthy && this.#now - seat.since >= FORGIVEN_MS) known.failures = 0;
    const { averageMs, pongs } = seat.client;
    if (averageMs !== undefined) known.rttMs = averageMs;
    const measured = pongs >= SAMPLES;
    const vain = known.reason === "measure" && this.#now - seat.openedAt >= MEASURING_MS;
    if (measured || vain) known.measuredAt = this.#now;
    seat.steady = this.#now - seat.since >= holdOf(known.failures);
  }

  readonly #tick = (): void => {
    const before = this.#now;
    this.#clock[0] = performance.now();
    if (this.#now - before < STALLED_MS) { for (const seat of this.#seats) seat.look(); }
    for (const known of this.#list) if (known.seat !== undefined) this.#learn(known, known.seat);
    this.#o.onTick();
    if (this.#holds) this.flush();
    if (++this.#ticks % Math.round(1_000 / TICK_MS) === 0) this.#everySecond();
    // With one relay, and this host there, time changes nothing.
    const [known, other] = this.#list, there = this.#seats.length === 1;
    if (other !== undefined || !there || known?.seat !== this.#home) this.#choose();
  };

  #everySecond(): void {
    for (const { seat, failures } of this.#list) {
      // What has failed has to answer without a break before it may be home again.
      const watched = failures > 0 && seat !== this.#home && seat?.connected === true;
      if (watched && seat.client.silentMs === 0) seat.client.speak();
    }
    this.#o.onSecond();
  }

  /** Chooses home and the other seats anew. */
  readonly choose = (): void => this.#choose();

  #choose(): void {
    if (this.#choosing || this.#closed) return;
    this.#choosing = true;
    try {
      const views = this.#list.map((known) => this.#view(known));
      const at = this.#list.findIndex(({ seat }) => seat === this.#home);
      const { home, reason } = chooseHome(views, at, this.#now);
      const reasons = chooseSeats(views, home, this.#o.searching(), this.#now);
      let opened = false;
      this.#list.forEach((known, i) => {
        known.reason = reasons.get(i);
        if (known.reason === undefined || known.seat !== undefined) return;
        this.#open(known, known.reason);
        opened = true;
      });
      const next = this.#list[home]!.seat!;
      this.#homeReason = reason;
      // One that is not listed any more is left when another one answers.
      const stay = !this.#home.listed && this.#home.connected && !next.healthy;
      if (next !== this.#home && !stay) this.#moveTo(next, reason);
      const closed = this.#sweep();
      if (opened || closed) {
        this.#rank();
        this.#o.onSeats();
        this.#o.onState();
      }
    } finally {
      this.#choosing = false;
    }
  }

  /** Puts the seats in the common order. */
  #rank(): void {
    for (const seat of this.#seats) {
      const rank = this.#list.findIndex((known) => known.seat === seat);
      seat.rank = rank < 0 ? this.#list.length : rank;
      seat.tier = this.#list[rank]?.tier ?? Infinity;
    }
    this.#seats = this.#seats.toSorted((a, b) => a.rank - b.rank);
  }

  #view(known: Known): RelayView {
    const { seat, tier, rttMs, measuredAt, failures } = known;
    return {
      tier,
      connected: seat?.connected ?? false,
      healthy: seat?.healthy ?? false,
      since: seat?.since ?? -Infinity,
      holdMs: holdOf(failures),
      ...(rttMs === undefined ? {} : { rttMs }),
      samples: seat?.client.pongs ?? 0,
      measuredAt,
      needed: seat !== undefined && this.#isNeeded(seat),
      going: seat?.going ?? false,
    };
  }

  #isNeeded(seat: Seat): boolean {
    return this.#now - this.#heardAt[seat.slot]! < LINGER_MS || this.#o.needed(seat);
  }

  #moveTo(seat: Seat, reason: HomeReason): void {
    const before = this.#home;
    log.info("Relay {relay} is home now instead of {before}: {reason}", {
      relay: relayName(seat.relay),
      before: relayName(before.relay),
      reason,
    });
    before.prefer(false);
    seat.prefer(true);
    this.#home = seat;
    this.#o.onSeats();
    this.#o.onArrived(seat);
    this.#o.onState();
  }

  /** Closes what is of no use any more; whether there was any. */
  #sweep(): boolean {
    let closed = false;
    for (const seat of this.#seats) {
      const wanted = this.#list.some((known) => known.seat === seat && known.reason !== undefined);
      if (seat === this.#home || wanted || (seat.connected && this.#isNeeded(seat))) {
        seat.idleSince = undefined;
        continue;
      }
      seat.idleSince ??= this.#now;
      if (seat.connected && this.#now - seat.idleSince < LINGER_MS) continue;
      this.#closeSeat(seat);
      closed = true;
    }
    return closed;
  }

  /** This host may have moved: connections that are dead without knowing it are made anew. */
  moved(): void {
    for (const seat of this.#seats) seat.moved();
  }

  /** Sends what waits, everywhere. */
  flush(): void {
    this.#holds = false;
    for (let i = 0; i < this.#seats.length; i++) this.#seats[i]!.client.flush();
  }

  /** What waits goes with what is sent next, or on the next tick. */
  hold(): void {
    this.#holds = true;
    for (let i = 0; i < this.#seats.length; i++) this.#seats[i]!.client.hold();
  }

  /** The seat of a slot. */
  at(slot: number): Seat | undefined {
    return this.#seats.find((seat) => seat.slot === slot);
  }

  /** Every relay of the list, and those that are being left. */
  status(): ListedRelay[] {
    const rows = this.#list.map((known) => {
      const home = known.seat === this.#home;
      return statusOf(known, known.seat, home, home ? this.#homeReason : known.reason);
    });
    const leaving = this.#seats.filter(({ listed }) => !listed);
    return [...rows, ...leaving.map((seat) => statusOf(seat, seat, seat === this.#home))];
  }

  /** Packets thrown away at all relays so far, by reason. */
  drops(): Record<string, number> {
    const drops = { ...this.#oldDrops };
    for (const seat of this.#seats) seat.addDropsTo(drops);
    return drops;
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await Promise.all([...this.#seats.map((seat) => seat.close()), ...this.#closing]);
  }
}
