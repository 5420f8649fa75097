/**
 * Tells the control plane where this host is and what its NAT is like, when that has changed: at
 * once, but not as often as a NAT may flap, and again and again while the control plane is away.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Endpoint } from "../../../control/api/types.ts";
import { ApiFailure, Backoff } from "../../api/mod.ts";
import { reasonOf } from "../../errors.ts";

const log = getLogger(["nexd", "agent"]);

/** What other devices have to know to reach this one. */
export interface Whereabouts {
  /** `local` first; IPv4 as STUN sees it last, because stock agents take the last one. */
  endpoints: Endpoint[];
  symmetric_nat: boolean;
}

/** Times that tests shorten, ms. */
export interface PublisherTimes {
  /** Changes within this time are one. */
  coalesce: number;
  /** Calls that may follow each other at once, and the time after which there is room for one more. */
  burst: number;
  refill: number;
  /** First and longest pause after a failure. */
  retry: number;
  retryMax: number;
  /** How long the first try may take; twice as long each time after, up to the API's own limit. */
  patience: number;
}

const TIMES: PublisherTimes = {
  coalesce: 30,
  burst: 4,
  refill: 10_000,
  retry: 500,
  retryMax: 60_000,
  patience: 3_000,
};

/** How to tell it. */
export interface PublisherOptions {
  /** `PATCH` of the device; throws {@link ApiFailure}s. */
  send(
    token: string,
    deviceId: string,
    whereabouts: Whereabouts,
    signal: AbortSignal,
  ): Promise<unknown>;
  times?: Partial<PublisherTimes>;
}

/** What status tells of it. */
export interface PublisherStatus {
  /** `current`: the control plane knows; `waiting`: it will. */
  state: "current" | "waiting";
  /** Why it does not know yet. */
  error?: string;
}

/** See the top of the file. */
export class Publisher {
  readonly #send: PublisherOptions["send"];
  readonly #times: PublisherTimes;
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  #device: { token: string; id: string } | undefined;
  #wanted: Whereabouts | undefined;
  /** What the control plane knows, as JSON. */
  #known: string | undefined;
  #error: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> | undefined;
  #failures = 0;
  /** Calls that may be made now, and since when that is counted (`performance.now()`). */
  #room: number;
  #countedAt = performance.now();

  constructor({ send, times = {} }: PublisherOptions) {
    this.#send = send;
    this.#times = { ...TIMES, ...times };
    this.#room = this.#times.burst;
    this.#backoff = new Backoff({ base: this.#times.retry, max: this.#times.retryMax });
  }

  /** Whether the control plane knows. */
  status(): PublisherStatus {
    return {
      state: this.#outdated ? "waiting" : "current",
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  /** A registration has told the control plane `whereabouts`; the token is for what comes after. */
  registered(token: string, id: string, whereabouts: Whereabouts): void {
    this.#device = { token, id };
    this.#known = JSON.stringify(whereabouts);
    this.#wanted ??= whereabouts;
    this.#error = undefined;
    this.#failures = 0;
    this.#backoff.reset();
    this.#soon(this.#times.coalesce);
  }

  /** This is true now. The same as before costs nothing. */
  want(whereabouts: Whereabouts): void {
    if (JSON.stringify(whereabouts) === JSON.stringify(this.#wanted)) return;
    this.#wanted = whereabouts;
    // After a failure the pause goes on: a flapping NAT must not make it shorter.
    if (this.#timer === undefined) this.#soon(this.#times.coalesce);
  }

  /** Ends it, in the middle of a call too. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#sending;
  }

  get #outdated(): boolean {
    return this.#wanted !== undefined && JSON.stringify(this.#wanted) !== this.#known;
  }

  #soon(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#closing.signal.aborted || !this.#outdated || this.#device === undefined) return;
    // What is under way looks again when it ends.
    if (this.#sending !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#outdated) return; // it has flapped back
      const wait = this.#takeRoom();
      if (wait > 0) return this.#soon(wait);
      this.#sending = this.#publish().then((next) => {
        this.#sending = undefined;
        this.#soon(next);
      });
    }, delay);
  }

  /** 0 when a call may be made now, else ms until then. */
  #takeRoom(): number {
    const { burst, refill } = this.#times;
    const now = performance.now();
    const whole = Math.floor((now - this.#countedAt) / refill);
    if (whole > 0) {
      this.#room = Math.min(burst, this.#room + whole);
      this.#countedAt += whole * refill;
    }
    if (this.#room === 0) return Math.ceil(this.#countedAt + refill - now);
    if (this.#room === burst) this.#countedAt = now;
    this.#room--;
    return 0;
  }

  /** One call; returns the pause before the next one that may be needed, ms. */
  async #publish(): Promise<number> {
    const device = this.#device!, whereabouts = this.#wanted!;
    const { signal } = this.#closing;
    // A connection that died with the old NAT mapping must not take long.
    const limit = AbortSignal.timeout(this.#times.patience * 2 ** Math.min(this.#failures, 5));
    try {
      const either = AbortSignal.any([signal, limit]);
      await this.#send(device.token, device.id, whereabouts, either);
      // A registration in between has told something newer, or older: its word counts.
      if (this.#device === device) this.#known = JSON.stringify(whereabouts);
      this.#error = undefined;
      this.#failures = 0;
      this.#backoff.reset();
      log.info("published: {endpoints}", {
        endpoints: whereabouts.endpoints.map(({ address }) => address).join(" "),
      });
      return this.#times.coalesce;
    } catch (error) {
      if (signal.aborted) return 0;
      this.#failures++;
      const reason = reasonOf(error);
      if (reason !== this.#error) log.warn("cannot publish where we are: {reason}", { reason });
      this.#error = reason;
      const asked = error instanceof ApiFailure ? (error.retryAfter ?? 0) * 1000 : 0;
      return Math.max(asked, this.#backoff.next());
    }
  }
}
