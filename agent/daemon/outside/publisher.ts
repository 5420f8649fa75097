/**
 * Tells the control plane where this host is and what its NAT is like, when that has changed: at
 * once, but not as often as a NAT may flap, and again and again while the control plane is away.
 * Also when another host that has this one's key says otherwise, but then at a low rate: two that
 * contradict each other must not keep the VPC busy.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { Device, Endpoint } from "../../../control/api/types.ts";
import { ApiFailure, Backoff } from "../../api/mod.ts";
import { cleanText, reasonOf } from "../../errors.ts";

const log = getLogger(["nexd", "agent"]);

/** What other devices have to know to reach this one. */
export interface Whereabouts {
  /** `local` first; IPv4 as STUN sees it last, because stock agents take the last one. */
  endpoints: Endpoint[];
  symmetric_nat: boolean;
}

/** This host's device as the control plane tells it. */
export type OwnRow = Pick<
  Device,
  "id" | "revision" | "hostname" | "endpoints" | "symmetric_nat"
>;

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
  /** Between two times of contradicting another host that has this one's key. */
  reclaim: number;
  /** How long such a host is told of after it was last heard. */
  rival: number;
}

const TIMES: PublisherTimes = {
  coalesce: 30,
  burst: 4,
  refill: 10_000,
  retry: 500,
  retryMax: 60_000,
  patience: 3_000,
  reclaim: 60_000,
  rival: 5 * 60_000,
};

/** As many of the last things said are known again when they come back late. */
const MAX_TOLD = 16;

/** How to tell it. */
export interface PublisherOptions {
  /** `PATCH` of the device, which is answered; throws {@link ApiFailure}s. */
  send(
    token: string,
    deviceId: string,
    whereabouts: Whereabouts,
    signal: AbortSignal,
  ): Promise<{ revision: number }>;
  times?: Partial<PublisherTimes>;
}

/** What status tells of it. */
export interface PublisherStatus {
  /** `current`: the control plane knows; `waiting`: it will. */
  state: "current" | "waiting";
  /** Why it does not know yet. */
  error?: string;
  /** Another host speaks as this one: what it calls itself, and where it says that it is. */
  rival?: { hostname: string; address: string };
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
  /** What was said last, as JSON, and the newest revision of the device that was judged. */
  #told: string[] = [];
  #revision = 0;
  #row: OwnRow | undefined;
  /** Who else speaks as this host, and when it last did (`performance.now()`). */
  #rival: { hostname: string; address: string; at: number } | undefined;
  /** When it may be contradicted again (`performance.now()`), and that the timer is for that. */
  #reclaimAt = -Infinity;
  #reclaiming = false;
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
    const rival = this.#rival;
    return {
      state: this.#outdated ? "waiting" : "current",
      ...(this.#error === undefined ? {} : { error: this.#error }),
      ...(rival === undefined || performance.now() - rival.at > this.#times.rival
        ? {}
        : { rival: { hostname: rival.hostname, address: rival.address } }),
    };
  }

  /**
   * A registration has told the control plane `whereabouts`, which made the device what it is at
   * `revision`; the token is for what comes after.
   */
  registered(token: string, id: string, whereabouts: Whereabouts, revision: number): void {
    this.#device = { token, id };
    this.#known = JSON.stringify(whereabouts);
    this.#remember(this.#known);
    this.#revision = revision;
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
    if (this.#timer === undefined || this.#reclaiming) this.#soon(this.#times.coalesce);
  }

  /** The control plane tells of this host's device. The same as before costs nothing. */
  seen(row: OwnRow): void {
    if (row.id !== this.#device?.id || row.revision <= this.#revision) return;
    this.#row = row;
    // What is under way may be what it tells of.
    if (this.#sending === undefined) this.#judge();
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

  /** Whether what the control plane knows of this host is this host's word. */
  #judge(): void {
    const row = this.#row;
    this.#row = undefined;
    if (row === undefined || row.id !== this.#device?.id || row.revision <= this.#revision) return;
    this.#revision = row.revision;
    const text = JSON.stringify(
      {
        endpoints: (row.endpoints ?? []).map(({ source, address }) => ({ source, address })),
        symmetric_nat: row.symmetric_nat,
      } satisfies Whereabouts,
    );
    if (text === this.#known) return;
    this.#known = text;
    if (this.#told.includes(text)) {
      // Its answer was lost, or it was overtaken.
      if (this.#timer === undefined) this.#soon(this.#times.coalesce);
      return;
    }
    const now = performance.now(), { coalesce, reclaim } = this.#times;
    const { hostname, endpoints } = row;
    const address = cleanText(endpoints?.at(-1)?.address ?? "", 64);
    if (this.status().rival === undefined) {
      log.warn("another host registers with this host's key, as {hostname} at {address}", {
        hostname,
        address,
      });
    }
    this.#rival = { hostname, address, at: now };
    if (this.#timer !== undefined) return;
    const wait = Math.max(coalesce, this.#reclaimAt - now);
    this.#reclaimAt = now + wait + reclaim;
    this.#soon(wait);
    this.#reclaiming = this.#timer !== undefined;
  }

  #remember(text: string): void {
    this.#told = [...this.#told.filter((one) => one !== text), text].slice(-MAX_TOLD);
  }

  #soon(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#reclaiming = false;
    if (this.#closing.signal.aborted || !this.#outdated || this.#device === undefined) return;
    // What is under way looks again when it ends.
    if (this.#sending !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#reclaiming = false;
      if (!this.#outdated) return; // it has flapped back
      const wait = this.#takeRoom();
      if (wait > 0) return this.#soon(wait);
      this.#sending = this.#publish().then((next) => {
        this.#sending = undefined;
        this.#soon(next);
        this.#judge();
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
      const text = JSON.stringify(whereabouts);
      this.#remember(text);
      const { revision } = await this.#send(device.token, device.id, whereabouts, either);
      // A registration in between has told something newer, or older: its word counts.
      if (this.#device === device) {
        this.#known = text;
        this.#revision = Math.max(this.#revision, revision);
      }
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
