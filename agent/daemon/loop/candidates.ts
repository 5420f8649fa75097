/** The peers that devices make, worked out anew only when something that they come from has changed. */
import type { Device } from "../../../control/api/types.ts";
import { chooseCandidates, type Self } from "../../peering/mod.ts";

type Rest = Parameters<typeof chooseCandidates> extends [Device[], Self, ...infer R] ? R : never;
type Candidates = ReturnType<typeof chooseCandidates>;

/** {@linkcode chooseCandidates} with a memory of one answer, which nobody may change. */
export class LastCandidates {
  #devices: readonly Device[] = [];
  #rest = "";
  #answer: Candidates | undefined;

  /** @param devices rows are replaced when they change, never changed themselves */
  choose(devices: Device[], self: Self, ...rest: Rest): Candidates {
    const [{ derp, undecided }, wish] = rest;
    // The choice of an exit node depends on which is well at this moment.
    if (wish?.exit !== undefined) return chooseCandidates(devices, self, ...rest);
    const text = JSON.stringify([self, [...derp], [...undecided], wish]);
    if (
      this.#answer === undefined || text !== this.#rest ||
      devices.length !== this.#devices.length ||
      devices.some((device, i) => device !== this.#devices[i])
    ) {
      this.#answer = chooseCandidates(devices, self, ...rest);
      this.#devices = devices;
      this.#rest = text;
    }
    return this.#answer;
  }
}
