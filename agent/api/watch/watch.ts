/**
 * Keeps the watch stream open for the life of the process: resumes where it broke, never floods a
 * control plane that fails, and says what it is doing.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { reasonOf } from "../../errors.ts";
import { Backoff, pause } from "./backoff.ts";
import { chunksOf } from "../body.ts";
import type { WatchCache } from "./cache.ts";
import type { Api } from "../calls.ts";
import { isJsonSpace, JsonObjectDecoder } from "./decoder.ts";
import { ApiFailure } from "../failure.ts";
import { learnRelayRegions } from "./relay_regions.ts";

const log = getLogger(["nexd", "agent"]);

/** A stream that lived this long was a good one: its end is normal and it is resumed at once, ms. */
const GOOD_LIFE = 5_000;
/** White space this long after other bytes is a heartbeat, not the gap between two events, ms. */
const HEARTBEAT_GAP = 2_000;
/**
 * Silence after which a stream is taken for dead, ms: three heartbeats of our control plane, which
 * sends one every 15 s, and much longer for a server that was never heard to send any.
 */
const SILENCE_WITH_HEARTBEATS = 45_000, SILENCE_WITHOUT = 600_000;

/** What the stream is doing. */
export interface WatchState {
  state: "connecting" | "connected" | "down";
  /** Why the last stream ended or could not be opened. */
  error?: string;
}

/** Times that tests shorten, ms. */
export interface WatchTimes {
  goodLife: number;
  heartbeatGap: number;
  silenceWithHeartbeats: number;
  silenceWithout: number;
}

/** What {@link runWatch} needs. */
interface WatchOptions {
  api: Pick<Api, "openWatch"> & Partial<Pick<Api, "listRelayRegions">>;
  /** The device token. */
  token: string;
  cache: WatchCache;
  signal: AbortSignal;
  /** The cache changed. Several changes of one chunk are one call. */
  onChange(): void;
  onState?(state: WatchState): void;
  backoff?: Backoff;
  times?: Partial<WatchTimes>;
  random?: () => number;
}

/**
 * Runs until the signal aborts (returns undefined) or the control plane refuses the device token
 * (returns the refusal: the device must be registered again). Every other failure is waited out.
 */
export async function runWatch(options: WatchOptions): Promise<ApiFailure | undefined> {
  const { signal, onState } = options;
  const backoff = options.backoff ?? new Backoff();
  const random = options.random ?? Math.random;
  const goodLife = options.times?.goodLife ?? GOOD_LIFE;
  const memory = { heartbeats: false };
  let error: string | undefined;
  while (!signal.aborted) {
    onState?.({ state: "connecting", ...(error === undefined ? {} : { error }) });
    const began = performance.now();
    let asked = 0;
    try {
      await readStream(options, memory);
      error = "the control plane ended the event stream";
    } catch (thrown) {
      if (signal.aborted) return undefined;
      if (thrown instanceof ApiFailure) {
        if (thrown.status === 401 || thrown.status === 403 || thrown.status === 404) return thrown;
        asked = (thrown.retryAfter ?? 0) * 1000;
        const kind = thrown.status === 400
          ? options.cache.refused(thrown.detail.field ?? "")
          : undefined;
        if (kind === "security-group") {
          log.warn("the control plane knows no security groups: rules of an earlier run stay");
        }
        if (kind !== undefined) continue;
      }
      error = reasonOf(thrown);
    }
    if (signal.aborted) return undefined;
    if (performance.now() - began >= goodLife && asked === 0) {
      backoff.reset();
      await pause(20 + random() * 180, signal);
    } else {
      onState?.({ state: "down", error });
      await pause(Math.max(asked, backoff.next()), signal);
    }
  }
  return undefined;
}

/** Opens one stream and applies its events until it ends; throws why, unless it ended cleanly. */
async function readStream(options: WatchOptions, memory: { heartbeats: boolean }): Promise<void> {
  const { cache, times } = options;
  const end = new AbortController();
  const decoder = new JsonObjectDecoder();
  const signal = AbortSignal.any([options.signal, end.signal]);
  await learnRelayRegions(options.api, options.token, cache, signal);
  cache.begin();
  const stream = await options.api.openWatch(options.token, cache.watches(), signal);
  options.onState?.({ state: "connected" });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let silent = false;
  const listen = () => {
    clearTimeout(timer);
    const limit = memory.heartbeats
      ? times?.silenceWithHeartbeats ?? SILENCE_WITH_HEARTBEATS
      : times?.silenceWithout ?? SILENCE_WITHOUT;
    timer = setTimeout(() => {
      silent = true;
      end.abort(new DOMException("silence", "TimeoutError"));
    }, limit);
  };
  listen();
  let heard = performance.now();
  try {
    for await (const chunk of chunksOf(stream, signal)) {
      const now = performance.now();
      if (now - heard >= (times?.heartbeatGap ?? HEARTBEAT_GAP) && chunk.every(isJsonSpace)) {
        memory.heartbeats = true;
      }
      heard = now;
      listen();
      let changed = false;
      for (const event of decoder.push(chunk)) {
        const applied = cache.apply(event);
        if ("error" in applied) {
          if (changed) options.onChange();
          throw new Error(`the control plane reported: ${applied.error}`);
        }
        changed ||= applied.changed;
      }
      if (changed) options.onChange();
    }
  } catch (error) {
    throw silent ? new Error("the event stream fell silent") : streamBreak(error);
  } finally {
    clearTimeout(timer);
    end.abort();
  }
}

/** The runtime's words for a body that broke are long and say nothing; ours are short. */
function streamBreak(error: unknown): unknown {
  return error instanceof TypeError ||
      (error instanceof Error && /body|reset|aborted/i.test(error.message))
    ? new Error("the connection to the control plane broke", { cause: error })
    : error;
}
