/**
 * Tells the control plane of this host's ways, when they have changed and not often. Nothing waits for
 * it: what cannot be told is told later, or, where a control plane does not take it, never.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type { PathReport } from "../../../control/api/types.ts";
import { type Api, ApiFailure } from "../../api/mod.ts";
import { reasonOf } from "../../errors.ts";
import { isNews } from "./summary.ts";

const log = getLogger(["nexd", "agent"]);

/** Times that tests shorten, ms. */
export interface ReporterTimes {
  /** How long what is new settles first, and the shortest time between two looks at what is new. */
  settle: number;
  every: number;
  /** How long it is left alone after a failure. */
  retry: number;
}

const TIMES: ReporterTimes = { settle: 2_000, every: 10_000, retry: 60_000 };

/** See the top of the file. */
export class Reporter {
  readonly #api: Pick<Api, "tellPaths">;
  readonly #report: () => PathReport;
  readonly #times: ReporterTimes;
  readonly #closing = new AbortController();
  #device: { token: string; id: string } | undefined;
  #told: PathReport | undefined;
  /** When it may look again (`performance.now()`). */
  #next = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The control plane has no use for it. */
  #unwanted = false;

  /** @param report what is so now; asked for at most every few seconds */
  constructor(
    api: Pick<Api, "tellPaths">,
    report: () => PathReport,
    times: Partial<ReporterTimes> = {},
  ) {
    this.#api = api;
    this.#report = report;
    this.#times = { ...TIMES, ...times };
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
    if (this.#timer !== undefined || this.#unwanted || this.#device === undefined) return;
    if (this.#closing.signal.aborted) return;
    const wait = Math.max(this.#times.settle, this.#next - performance.now());
    this.#timer = setTimeout(() => void this.#look(), wait);
  }

  /** Ends it, in the middle of a call too. */
  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { token, id } = this.#device!, { signal } = this.#closing;
    this.#next = performance.now() + this.#times.every;
    try {
      const report = this.#report(), told = this.#told;
      if (!isNews(report, told)) return;
      await this.#api.tellPaths(token, id, report, signal);
      // A new stream in between may have made it forgotten.
      if (this.#told === told) this.#told = report;
    } catch (error) {
      if (signal.aborted) return;
      const status = error instanceof ApiFailure ? error.status : undefined;
      this.#unwanted = status !== undefined && [403, 404, 405, 501].includes(status);
      this.#next = performance.now() + this.#times.retry;
      log.debug("paths are not told: {reason}", { reason: reasonOf(error) });
    } finally {
      this.#timer = undefined;
    }
  }
}
