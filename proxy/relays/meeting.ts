/**
 * Where the peers are: learnt from what comes from them, from what relays say, and by asking.
 *
 * `docs/architecture.md` has the rules; {@linkcode chooseRoute} is their heart.
 */
import { PeerGoneReason } from "../../relay/derp/mod.ts";
import type { DerpClient } from "../client/mod.ts";
import { ANSWER, ASK } from "./hello.ts";
import { chooseRoute, HEARD_MS, SAME_MS, SLOTS } from "./route.ts";
import type { Seat } from "./seat.ts";

/** Pause between questions of one peer, which doubles with each one in vain. Milliseconds. */
const ASK_MS = 1_000, ASK_MAX_MS = 15_000;

/** A peer that is where it was, but not at home, is asked for there this often. Milliseconds. */
const ASK_HOME_MS = 30_000;

/** A peer's questions are answered no more often. Milliseconds. */
const ANSWER_MS = 100;

/** A peer that packets go to and none come from is asked after this time, and then given up for lost. */
const QUIET_MS = 2_000, NO_ANSWER_MS = 1_000;

/** What was sent to longer ago is not looked for: WireGuard tries each 5 s. Milliseconds. */
const WANTED_MS = 6_000;

/** A peer that nobody heard for so long is looked for at other relays. Milliseconds. */
const SEARCH_AFTER_MS = 1_000;

/** A search lasts this long; the next one waits, twice as long each time. Milliseconds. */
const SEARCH_MS = 10_000, SEARCH_PAUSE_MS = 20_000, SEARCH_PAUSE_MAX_MS = 300_000;

/** A peer that was missed, and that nobody sends to any more, is asked for this often. Milliseconds. */
const RECALL_MS = 300_000;

/** What a relay said of a peer's absence is asked anew after this time. Milliseconds. */
const ABSENT_MS = 15_000;

/**
 * A peer that was heard within this time need not be looked at for its age, and peers of whom all are
 * such and have no packets are looked at so seldom. Milliseconds.
 */
const RESTS_MS = 60_000, LOOK_ALL_MS = 30_000;

/** An initiation is worth sending again until WireGuard makes the next one. Milliseconds. */
const FRESH_MS = 4_500;

/** WireGuard repeats an initiation that had no answer after 5 s. Milliseconds. */
const REPEATED_MS = 4_000;

const INITIATION = 1, INITIATION_LENGTH = 148;

/** What is known of one peer's whereabouts, and through which relays packets go to it. */
export class Place {
  readonly key: Uint8Array;
  readonly heardAt: Float64Array = new Float64Array(SLOTS);
  absent = 0;
  /** Slot; -1: not known. */
  place = -1;
  /** The slots that packets go through, one bit each. */
  send = 0;
  /** Where packets go. */
  target: DerpClient;
  /** Where they go as well, while it is not known where the peer is. */
  more: readonly DerpClient[] | undefined;
  /** Packets sent, as the owner counts them, at the last look. */
  sent = 0;
  sentAt = -Infinity;
  /** Packets were sent since the last look. */
  stirred = false;
  lostAt: number;
  absentSince = 0;
  askedAt = -Infinity;
  asks = 0;
  answeredAt = -Infinity;
  /** It has said hello: it answers when it is asked. */
  speaks = false;
  /** When it was asked why it is quiet; 0: it is not. */
  doubtedAt = 0;
  searchAt = 0;
  searches = 0;
  /** The search in which it was looked for last. */
  round = 0;
  /** WireGuard's last initiation, when it was sent, and through which slots. */
  initiation: Uint8Array | undefined;
  initiatedAt = -Infinity;
  initiatedTo = 0;

  constructor(key: Uint8Array, target: DerpClient, now: number) {
    this.key = key;
    this.target = target;
    this.lostAt = now;
  }
}

/** A peer's place, and how many packets were sent to it. */
interface Looked {
  readonly where: Place;
  readonly txPackets: number;
}

/** What a {@linkcode Meeting} works on. */
export interface MeetingParts {
  seats(): readonly Seat[];
  home(): Seat;
  peers(): Iterable<Looked>;
  now(): number;
  /** The place of a peer has become known, or is not any more. */
  onPlace(where: Place): void;
}

/** See the top of the file. */
export class Meeting {
  readonly #parts: MeetingParts;
  /** Peers that packets were sent to since the last look. */
  readonly #stirred: Looked[] = [];
  /** At the last look at all every peer rested, and no route has changed since. */
  #settled = false;
  #lookedAtAll = -Infinity;
  #searchUntil = -Infinity;
  #round = 0;
  readonly #wake: () => void;

  /** @param wake a search begins: time to choose relays anew */
  constructor(parts: MeetingParts, wake: () => void) {
    this.#parts = parts;
    this.#wake = wake;
  }

  /** Peers are looked for at relays that are not in use. */
  get searching(): boolean {
    return this.#parts.now() < this.#searchUntil;
  }

  /** A new peer. */
  add(key: Uint8Array): Place {
    const place = new Place(key, this.#parts.home().client, this.#parts.now());
    this.route(place);
    return place;
  }

  /** Works out anew where packets for a peer go. */
  route(where: Place): void {
    const seats = this.#parts.seats(), home = this.#parts.home(), now = this.#parts.now();
    const { place, send } = chooseRoute(seats, where, home.slot, now);
    const known = place >= 0, turned = known !== where.place >= 0;
    if (turned && known) where.asks = where.searches = where.searchAt = 0;
    else if (turned) where.lostAt = now;
    if (place !== home.slot || where.absent !== 0) this.#settled = false;
    where.place = place;
    where.send = send;
    let target: DerpClient | undefined, more: DerpClient[] | undefined;
    for (const seat of seats) {
      if ((send >> seat.slot & 1) === 0) continue;
      if (target === undefined) target = seat.client;
      else (more ??= []).push(seat.client);
    }
    where.target = target ?? home.client;
    where.more = more;
    if (turned) this.#parts.onPlace(where);
  }

  /** The same for all peers. */
  routeAll(): void {
    for (const { where } of this.#parts.peers()) this.route(where);
  }

  /** A packet of the peer came through a relay that is not its place. `heardAt` is written. */
  elsewhere(where: Place, seat: Seat): void {
    const { place } = where, bit = 1 << seat.slot;
    if (place >= 0 && (where.absent & bit) === 0) {
      const present = this.#parts.seats().find(({ slot }) => slot === place);
      const lately = where.heardAt[place]! >= this.#parts.now() - SAME_MS;
      if (present?.healthy && lately && present.rank < seat.rank) return;
    }
    where.absent &= ~bit;
    this.route(where);
  }

  /** The peer says that it is at this relay. `heardAt` is written. */
  hello(where: Place, seat: Seat, kind: "ask" | "answer"): void {
    const lost = where.place < 0;
    where.speaks = true;
    this.elsewhere(where, seat);
    if (lost) this.#repeat(where, seat);
    const now = performance.now();
    if (kind !== "ask" || now - where.answeredAt < ANSWER_MS) return;
    where.answeredAt = now;
    say(where, seat.client, ANSWER);
  }

  /** A relay says that the peer is not there. */
  gone(where: Place, seat: Seat, reason: number): void {
    where.absent |= 1 << seat.slot;
    where.absentSince = this.#parts.now();
    where.initiatedTo &= ~(1 << seat.slot);
    if (reason === PeerGoneReason.Disconnected) where.heardAt[seat.slot] = 0;
    this.route(where);
    if (where.place >= 0) return;
    const elsewhere = this.#parts.seats().some(({ slot, connected }) =>
      connected && (where.absent >> slot & 1) === 0
    );
    if (!elsewhere) this.#search(where);
  }

  /**
   * WireGuard sends the peer a handshake message, which is on its way already.
   *
   * @param packet starts with the message
   */
  handshake(where: Place, packet: Uint8Array, length: number): void {
    if (packet[0] !== INITIATION || length !== INITIATION_LENGTH) return;
    const now = this.#parts.now();
    where.sentAt = now;
    // The one before was not answered, and nothing else came: the peer may have gone elsewhere.
    const repeated = now - where.initiatedAt >= REPEATED_MS &&
      lastHeard(where) < where.initiatedAt;
    const kept = where.initiation ??= new Uint8Array(INITIATION_LENGTH);
    for (let i = 0; i < INITIATION_LENGTH; i++) kept[i] = packet[i]!;
    where.initiatedAt = now;
    where.initiatedTo = where.send;
    if (where.place >= 0) {
      if (!repeated) return;
      this.#lose(where);
      for (const seat of this.#parts.seats()) {
        if ((where.send >> seat.slot & 1) !== 0) this.#repeat(where, seat);
      }
    }
    if (now - where.askedAt >= ASK_MS) this.#ask(where, now);
  }

  /** Sends WireGuard's last initiation through a relay where it was not sent in time. */
  #repeat(where: Place, { slot, client }: Seat): void {
    if (where.initiation === undefined || (where.initiatedTo >> slot & 1) !== 0) return;
    if (this.#parts.now() - where.initiatedAt > FRESH_MS) return;
    where.initiatedTo |= 1 << slot;
    client.send(where.key, where.initiation, INITIATION_LENGTH);
    client.flush();
  }

  #ask(where: Place, now: number): void {
    where.askedAt = now;
    where.asks++;
    for (const seat of this.#parts.seats()) {
      if (seat.connected && (where.absent >> seat.slot & 1) === 0) say(where, seat.client, ASK);
    }
  }

  /** Logged in at a relay, or it became home: peers in use hear of it. */
  arrived(seat: Seat): void {
    if (!seat.connected) return;
    const now = this.#parts.now(), isHome = seat === this.#parts.home();
    for (const { where } of this.#parts.peers()) {
      const lost = where.place < 0;
      if (!isHome && !lost && !this.#isMakeshift(where)) continue;
      const sought = this.searching && where.round === this.#round;
      if (!sought && now - Math.max(where.sentAt, lastHeard(where)) > HEARD_MS) continue;
      say(where, seat.client, ASK);
      if (lost) this.#repeat(where, seat);
    }
  }

  /** A relay's connection ended: what was heard through it counts no more. */
  left(seat: Seat): void {
    this.#settled = false;
    for (const { where } of this.#parts.peers()) {
      where.heardAt[seat.slot] = 0;
      where.absent &= ~(1 << seat.slot);
      where.initiatedTo &= ~(1 << seat.slot);
    }
  }

  /** Whether a peer is reached through a relay. */
  isPlace(slot: number): boolean {
    for (const { where } of this.#parts.peers()) if (where.place === slot) return true;
    return false;
  }

  /** A packet is sent to a peer: it is looked at. Called for each one. */
  stir(peer: Looked): void {
    if (peer.where.stirred) return;
    peer.where.stirred = true;
    this.#stirred.push(peer);
  }

  /** Once a second: what has grown old, and who is missed. */
  look(): void {
    const now = this.#parts.now();
    // Of a thousand that rest at home each second would look at all of them for nothing.
    if (!this.#settled || now - this.#lookedAtAll >= LOOK_ALL_MS) {
      this.#settled = true;
      this.#lookedAtAll = now;
      for (const peer of this.#parts.peers()) this.#lookAt(peer, now);
    } else for (const peer of this.#stirred) this.#lookAt(peer, now);
    for (const { where } of this.#stirred) where.stirred = false;
    this.#stirred.length = 0;
  }

  #lookAt({ where, txPackets }: Looked, now: number): void {
    const home = this.#parts.home();
    if (this.#rests(where, home, now)) {
      if (txPackets === where.sent) return;
    } else this.#settled = false;
    if (txPackets !== where.sent) {
      where.sent = txPackets;
      where.sentAt = now;
    }
    if (where.absent !== 0 && now - where.absentSince >= ABSENT_MS) where.absent = 0;
    this.route(where);
    this.#doubt(where, now);
    if (where.doubtedAt !== 0) this.#settled = false;
    if (where.place < 0) this.#miss(where, now);
    else if (this.#isMakeshift(where)) this.#search(where);
    else if (
      where.place !== home.slot && home.healthy && now - where.askedAt >= ASK_HOME_MS &&
      (where.absent >> home.slot & 1) === 0
    ) {
      where.askedAt = now;
      say(where, home.client, ASK);
    }
  }

  /** It was heard at home lately, nowhere else is to be tried, and nothing is doubted. */
  #rests({ place, absent, heardAt, doubtedAt }: Place, { slot }: Seat, now: number): boolean {
    return place === slot && absent === 0 && doubtedAt === 0 && now - heardAt[slot]! < RESTS_MS;
  }

  /** Nothing comes from a peer that packets go to: it may have gone, and its relay not know. */
  #doubt(where: Place, now: number): void {
    const { place, doubtedAt } = where, heardAt = lastHeard(where);
    const quiet = place >= 0 && where.speaks && where.sentAt === now && now - heardAt >= QUIET_MS;
    if (!quiet) where.doubtedAt = 0;
    else if (doubtedAt === 0 || heardAt >= doubtedAt) {
      where.doubtedAt = now;
      say(where, where.target, ASK);
    } else if (now - doubtedAt >= NO_ANSWER_MS) {
      this.#lose(where);
      this.#ask(where, now);
      this.#search(where);
    }
  }

  /** What was heard of it counts no more. */
  #lose(where: Place): void {
    where.heardAt.fill(0);
    where.doubtedAt = 0;
    this.route(where);
  }

  /** The peer is at a relay that is less preferred than home: there may be a better one for both. */
  #isMakeshift({ place }: Place): boolean {
    const seat = this.#parts.seats().find(({ slot }) => slot === place);
    return seat !== undefined && seat.tier > this.#parts.home().tier;
  }

  #miss(where: Place, now: number): void {
    if (now - where.sentAt > WANTED_MS) return this.#recall(where, now);
    const pause = Math.min(ASK_MS * 2 ** Math.min(where.asks, 8), ASK_MAX_MS);
    if (now - where.askedAt >= pause) this.#ask(where, now);
    if (this.searching || now - where.lostAt >= SEARCH_AFTER_MS) this.#search(where);
  }

  /** WireGuard has given it up; it may be there all the same, and have given up this host. */
  #recall(where: Place, now: number): void {
    if (where.asks === 0) return;
    const due = now - where.askedAt >= RECALL_MS;
    if (due) this.#ask(where, now);
    if (due || this.searching) this.#seek(where);
  }

  /** Has all relays looked at for a while, unless that was in vain not long ago. */
  #search(where: Place): void {
    if (this.#parts.now() - where.sentAt <= WANTED_MS) this.#seek(where);
  }

  #seek(where: Place): void {
    const now = this.#parts.now(), { searching } = this;
    // Whoever is missed takes part in a search that goes on, so that not each has one of its own.
    if (searching ? where.round === this.#round : now < where.searchAt) return;
    const pause = Math.min(SEARCH_PAUSE_MS * 2 ** Math.min(where.searches, 8), SEARCH_PAUSE_MAX_MS);
    if (!searching) this.#round++;
    if (!searching || where.searches === 0) this.#searchUntil = now + SEARCH_MS;
    where.round = this.#round;
    where.searches++;
    where.searchAt = now + SEARCH_MS + pause;
    this.#wake();
  }
}

/** When it was last heard anywhere; -Infinity: never. */
function lastHeard({ heardAt }: Place): number {
  let last = 0;
  for (let i = 0; i < SLOTS; i++) last = Math.max(last, heardAt[i]!);
  return last === 0 ? -Infinity : last;
}

function say(where: Place, client: DerpClient, hello: Uint8Array): void {
  client.send(where.key, hello, hello.length);
  client.flush();
}
