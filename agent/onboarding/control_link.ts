/**
 * The tie of a device to the control plane: registration, then the watch stream, again and again.
 * What the control plane says or fails to say is told here and waited out; neither a tunnel nor a
 * relay depends on it.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { ApiFailure, Backoff, pause, type WatchState } from "../api/mod.ts";
import { reasonOf } from "../errors.ts";
import type { Onboarded } from "./onboard.ts";
import { persist } from "./persist.ts";
import { OnboardRefusal } from "./refusals.ts";

const log = getLogger(["nexd", "agent"]);

/** A stream that lived this long shows that the refusal before it is over, ms. */
const ACCEPTED = 60_000;
/** Longest pause after a refusal, ms. */
const MAX_PAUSE = 60_000;

/** What the control connection is doing. */
export type ControlState = {
  state: WatchState["state"] | "registering" | "refused";
  error?: string;
};

/** What the tie is made of. */
interface ControlParts {
  /** Signs a user in where that is needed; may wait for a person. */
  signIn?(signal: AbortSignal): Promise<void>;
  /** One try to register. */
  register(signal: AbortSignal): Promise<Onboarded>;
  /** A registration succeeded. */
  registered(onboarded: Onboarded): Promise<void>;
  /** Follows the watch stream; returns the refusal that ended it, or undefined after an abort. */
  watch(
    deviceToken: string,
    signal: AbortSignal,
    onState: (state: WatchState) => void,
  ): Promise<ApiFailure | undefined>;
  /** ms since the epoch */
  now(): number;
  /** First pause after a refusal, ms. */
  refusedPause: number;
}

/** See the top of the file. */
export class ControlLink {
  #state: ControlState = { state: "connecting" };
  readonly #parts: ControlParts;
  /** Called when {@link state} changes. */
  onState: (state: ControlState) => void = () => {};

  constructor(parts: ControlParts) {
    this.#parts = parts;
  }

  /** What it is doing. */
  get state(): ControlState {
    return this.#state;
  }

  /**
   * Registers, waiting while the control plane cannot be reached.
   *
   * @param giveUpAfterMs undefined: never
   * @returns undefined when the signal aborted
   * @throws what {@link persist} throws: refusals
   */
  async join(signal: AbortSignal, giveUpAfterMs?: number): Promise<Onboarded | undefined> {
    const { error } = this.#state;
    this.#set({ state: "registering", ...(error === undefined ? {} : { error }) });
    const patience = {
      signal,
      onTrouble: (reason: string) => this.#set({ state: "down", error: reason }),
      ...(giveUpAfterMs === undefined ? {} : { giveUpAfterMs }),
    };
    // By itself: the time that a person takes is none that the network takes.
    await persist(async () => await this.#parts.signIn?.(signal), patience);
    const onboarded = await persist(() => this.#parts.register(signal), patience);
    if (onboarded !== undefined) await this.#parts.registered(onboarded);
    return onboarded;
  }

  /**
   * Registers where needed and follows the watch stream until the signal aborts; never throws. A
   * refused registration key or device token is tried again too: somebody may renew the one, and a
   * registration renews the other.
   *
   * @param first the registration of just now, if there was one
   */
  async follow(signal: AbortSignal, first: Onboarded | undefined): Promise<void> {
    const { watch, now, refusedPause } = this.#parts;
    const again = new Backoff({ base: refusedPause, max: MAX_PAUSE });
    let onboarded = first;
    while (!signal.aborted) {
      try {
        onboarded ??= await this.join(signal);
        if (onboarded === undefined) return;
        const began = now();
        const refusal = await watch(onboarded.deviceToken, signal, (state) => this.#set(state));
        if (refusal === undefined) return;
        if (now() - began > ACCEPTED) again.reset();
        throw refusal;
      } catch (error) {
        const refused = error instanceof OnboardRefusal || error instanceof ApiFailure;
        onboarded = undefined;
        this.#set({ state: refused ? "refused" : "down", error: reasonOf(error) });
        await pause(again.next(), signal);
      }
    }
  }

  #set(next: ControlState): void {
    const { state: before, error } = this.#state;
    if (next.error !== undefined && (next.error !== error || before === "connected")) {
      if (next.state !== "connecting") log.warn("control plane: {error}", { error: next.error });
    } else if (next.state === "connected" && before !== "connected" && error !== undefined) {
      log.info("control plane: connected again");
    }
    this.#state = next;
    this.onState(next);
  }
}
