/**
 * Lets packets gather where that saves more than it costs, as network cards moderate their
 * interrupts.
 *
 * Between two packets of a dense stream the process falls asleep and is woken: that, and a write
 * for each packet, is most of what a packet costs when it comes alone. A pause of a tenth of a
 * millisecond, after everything at hand has been written, lets several packets come, which then
 * share one wake-up and one write. It delays them by as much; so it is made only while it is shown
 * to help: a trial compares turns with pauses against turns without, and traffic that waits for its
 * own answers (whose rate the pauses lower) or that does not gather is left alone. Sparse traffic
 * is never paused for, and neither is a relay with much to do.
 */

/** How long a pause is asked to be; the system makes it up to a tenth of a millisecond longer. */
const PAUSE_MS = 0.1;

/** Packets a millisecond below which a pause would gather hardly two. */
const DENSE = 12;

/** Packets of one turn that share its cost well enough. */
const MANY = 12;

/** Lengths of the phases, in turns of the event loop that wrote something. */
const WATCH = 64;
const TRY = 8;
const PROVE = 32;
const GATHER = 32;
const GATHERS = 64;
const LEAST_REST = 2048;
const MOST_REST = 32_768;

/** What a trial must show, to turns without pauses: packets a turn, then packets a millisecond. */
const GATHERED = 1.4;
const SLOWED = 0.9;
/** The latter for going on, where more than the pauses may have changed. */
const STILL = 0.8;

type Phase = "watch" | "rest" | "try" | "prove" | "gather";

export class Moderation {
  readonly #packetsSoFar: () => number;
  readonly #clock: () => number;
  readonly #pause: () => void;
  #phase: Phase = "watch";
  #pausing = false;
  #turnsLeft = WATCH;
  #gathersLeft = 0;
  #rest = LEAST_REST;
  #before = 0;
  // Where the phase began.
  #since = 0;
  #first = 0;
  // Of the turns watched without pauses.
  #rate = 0;
  #perTurn = 0;

  /**
   * @param packetsSoFar packets that the relay has received
   * @param clock the time in milliseconds
   * @param pause stops this thread for a moment
   */
  constructor(packetsSoFar: () => number, clock = () => performance.now(), pause = stopForAMoment) {
    this.#packetsSoFar = packetsSoFar;
    this.#clock = clock;
    this.#pause = pause;
    this.#since = clock();
  }

  /** To be called once all packets of a turn have been handed to the system. May pause. */
  turnEnded(): void {
    const packets = this.#packetsSoFar();
    const came = packets - this.#before;
    this.#before = packets;
    this.#turnsLeft -= 1;
    if (this.#turnsLeft === 0) this.#next(packets);
    if (this.#pausing && came < MANY) this.#pause();
  }

  #next(packets: number): void {
    const now = this.#clock();
    const came = packets - this.#first;
    const rate = came / (now - this.#since);
    switch (this.#phase) {
      case "watch":
        this.#rate = rate;
        this.#perTurn = came / WATCH;
        if (rate >= DENSE && this.#perTurn < MANY) this.#enter("try", TRY, now);
        else this.#enter("watch", WATCH, now);
        break;
      case "try": // Short, because it is all that traffic pays that does not gather.
        if (came / TRY >= GATHERED * this.#perTurn) this.#enter("prove", PROVE, now);
        else this.#retire(now);
        break;
      case "prove":
        if (came / PROVE >= GATHERED * this.#perTurn && rate >= SLOWED * this.#rate) {
          this.#rest = LEAST_REST;
          this.#gathersLeft = GATHERS;
          this.#enter("gather", GATHER, now);
        } else this.#retire(now);
        break;
      case "gather":
        this.#gathersLeft -= 1;
        if (
          this.#gathersLeft > 0 && came / GATHER >= GATHERED * this.#perTurn &&
          rate >= STILL * this.#rate
        ) {
          this.#enter("gather", GATHER, now);
        } else this.#enter("watch", WATCH, now);
        break;
      case "rest":
        this.#enter("watch", WATCH, now);
    }
  }

  /** Pauses do not help: not for a while, and then for longer. */
  #retire(now: number): void {
    this.#enter("rest", this.#rest, now);
    this.#rest = Math.min(MOST_REST, 2 * this.#rest);
  }

  #enter(phase: Phase, turns: number, now: number): void {
    this.#phase = phase;
    this.#pausing = phase === "try" || phase === "prove" || phase === "gather";
    this.#turnsLeft = turns;
    this.#since = now;
    this.#first = this.#before;
  }
}

const cell = new Int32Array(new SharedArrayBuffer(4));

function stopForAMoment(): void {
  Atomics.wait(cell, 0, 0, PAUSE_MS);
}
