/**
 * Tells the control plane of this host's ways: soon where a way is another one, seldom where only a
 * detail is, and never more often than it can afford. Nothing waits for it: what cannot be told is told
 * later, or, where a control plane does not take it, never.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { PathReport } from "../../../control/api/types.ts";
import { type Api, ApiFailure } from "../../api/mod.ts";
import { reasonOf } from "../../errors.ts";
import { newsIn } from "./summary.ts";

const log = getLogger(["nexd", "agent"]);

/** Times, ms, and the size of the bucket. */
export interface ReporterTimes {
  /** How long what is new settles first: a way that changes often takes several steps. */
  settle: number;
  /** Reports that may follow each other at once; one more may every so many ms, and no detail sooner. */
  burst: number;
  every: number;
  /** How long it is left alone after a failure, whatever is new. */
  retry: number;
  /**
   * Hosts that see the same change tell it within this time for each peer that they have, and this
   * time at most, each at another moment.
   */
  spreadEach: number;
  spread: number;
}

const TIMES: ReporterTimes = {
  settle: 500,
  burst: 3,
  every: 10_000,
  retry: 60_000,
  spreadEach: 2,
  spread: 2_000,
};

/** What a reporter has of the world; tests have their own. */
export interface ReporterDoors {
  /** A steady time, ms. */
  now(): number;
  /** Calls `run` in so many ms, unless what it returns is called first. */
  later(run: () => void, ms: number): () => void;
  /** From 0 to 1. */
  random(): number;
}

const DOORS: ReporterDoors = {
  now: () => performance.now(),
  later: (run, ms) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/** See the top of the file. */
export class Reporter {
  readonly #api: Pick<Api, "tellPaths">;
  readonly #report: () => PathReport;
  readonly #times: ReporterTimes;
  readonly #doors: ReporterDoors;
  readonly #closing = new AbortController();
  #device: { token: string; id: string } | undefined;
  #told: PathReport | undefined;
  /** Reports that may be sent now, and the time that they were counted. */
  #tokens: number;
  #countedAt: number;
  /** When the last report was sent. */
  #sentAt = -Infinity;
  /** Nothing is sent before, as the last try failed. */
  #pausedUntil = -Infinity;
  /** How many peers there were at the last look. */
  #peers = 0;
  #look: { at: number; cancel: () => void } | undefined;
  #sending = false;
  /** The control plane has no use for it. */
  #unwanted = false;

  /** @param report what is so now; asked for at most every half second */
  constructor(
    api: Pick<Api, "tellPaths">,
    report: () => PathReport,
    times: Partial<ReporterTimes> = {},
    doors: Partial<ReporterDoors> = {},
  ) {
    this.#api = api;
    this.#report = report;
    this.#times = { ...TIMES, ...times };
    this.#doors = { ...DOORS, ...doors };
    this.#tokens = this.#times.burst;
    this.#countedAt = this.#doors.now();
  }

  /** A registration succeeded. */
  registered(token: string, id: string): void {
    this.#device = { token, id };
    this.#told = undefined;
  }

  /** There is a new event stream: the control plane may have forgotten what it was told. */
  connected(): void {
    this.#told = undefined;
  }

  /** Something may be new. Costs nothing. */
  passed(): void {
    const now = this.#doors.now();
    const at = Math.max(now + this.#times.settle, this.#pausedUntil);
    // One that is due sooner, jitter included, is not put off.
    if (this.#look === undefined || this.#look.at > at + this.#spread()) this.#lookAt(at);
  }

  /** Ends it, in the middle of a call too. */
  close(): void {
    this.#closing.abort();
    this.#look?.cancel();
    this.#look = undefined;
  }

  /** Looks at that time, or, as others may have the same reason, a little later. */
  #lookAt(time: number): void {
    if (this.#unwanted || this.#sending || this.#device === undefined) return;
    if (this.#closing.signal.aborted) return;
    this.#look?.cancel();
    const at = time + this.#doors.random() * this.#spread();
    const run = () => {
      this.#look = undefined;
      void this.#send();
    };
    this.#look = { at, cancel: this.#doors.later(run, Math.max(0, at - this.#doors.now())) };
  }

  /** Sends what is new, if it may already. */
  async #send(): Promise<void> {
    const { token, id } = this.#device!, { signal } = this.#closing;
    try {
      const report = this.#report(), told = this.#told;
      this.#peers = report.peers.length + report.more;
      const news = newsIn(report, told);
      if (news === undefined) return;
      const now = this.#doors.now();
      const allowed = this.#allowedAt(news, now);
      if (allowed > now) return this.#lookAt(allowed);
      this.#tokens -= 1;
      this.#sentAt = now;
      this.#sending = true;
      await this.#api.tellPaths(token, id, report, signal);
      // A new stream in between may have made it forgotten.
      if (this.#told === told) this.#told = report;
    } catch (error) {
      if (signal.aborted) return;
      const status = error instanceof ApiFailure ? error.status : undefined;
      this.#unwanted = status !== undefined && [403, 404, 405, 501].includes(status);
      this.#pausedUntil = this.#doors.now() + this.#times.retry;
      log.debug("paths are not told: {reason}", { reason: reasonOf(error) });
    } finally {
      // What came while it was sent was not looked at.
      if (this.#sending) {
        this.#sending = false;
        this.passed();
      }
    }
  }

  #spread(): number {
    return Math.min(this.#times.spread, this.#times.spreadEach * this.#peers);
  }

  /** When news of a kind may be sent. */
  #allowedAt(news: "path" | "detail", now: number): number {
    const { burst, every } = this.#times;
    this.#tokens = Math.min(burst, this.#tokens + (now - this.#countedAt) / every);
    this.#countedAt = now;
    const token = this.#tokens >= 1 ? now : now + (1 - this.#tokens) * every;
    const quiet = news === "detail" ? this.#sentAt + every : now;
    return Math.max(token, quiet, this.#pausedUntil);
  }
}
