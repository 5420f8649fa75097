/** For tests of handshakes: a clock, and messages as far as their form goes. */
import type { Clock } from "./crossing.ts";

/** A clock that goes on when it is told. */
export class TestClock implements Clock {
  time = 0;
  #waiting: { at: number; run: () => void }[] = [];

  now(): number {
    return this.time;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run };
    this.#waiting.push(timer);
    return () => {
      this.#waiting = this.#waiting.filter((other) => other !== timer);
    };
  }

  /** Timers that are not over. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Lets time pass until `time`. */
  until(time: number): void {
    for (;;) {
      let next: { at: number; run: () => void } | undefined;
      for (const timer of this.#waiting) {
        if (timer.at <= time && (next === undefined || timer.at < next.at)) next = timer;
      }
      if (next === undefined) break;
      this.#waiting = this.#waiting.filter((other) => other !== next);
      this.time = Math.max(this.time, next.at);
      next.run();
    }
    this.time = time;
  }
}

const LENGTHS: Record<number, number> = { 1: 148, 2: 92, 4: 32 };

/** A message: its sender's index, and that of the message it answers. */
export function message(type: 1 | 2 | 4, sender = 0, receiver = 0): Uint8Array {
  const data = new Uint8Array(LENGTHS[type]!);
  const view = new DataView(data.buffer);
  view.setUint8(0, type);
  view.setUint32(4, sender, true);
  view.setUint32(8, receiver, true);
  return data;
}

/** The index of a message's sender. */
export function senderOf(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset).getUint32(4, true);
}

/** The index of what a message answers. */
export function receiverOf(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset).getUint32(8, true);
}
