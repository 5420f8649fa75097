/** One line a minute about limits that clients ran into, with counts, and none when none did. */
import { getLogger } from "@logtape/logtape";
import type { RelaySnapshot } from "../state/mod.ts";

const logger = getLogger(["nexd", "relay"]);

const INTERVAL_MS = 60_000;

/** Counters that stand for a limit, and what each is called. */
const LIMITS: [field: string, name: string][] = [
  ["acceptLimited", "connections over the accept limit"],
  ["addressLimited", "connections over the limit of their address"],
  ["admissionRefused", "logins refused by admission"],
  ["admissionFailedOpen", "logins let in because admission could not be asked"],
  ["loginTimeouts", "logins that took too long"],
  ["headTimeouts", "requests that took too long"],
  ["writeTimeouts", "clients that took nothing"],
  ["rateLimitWaits", "waits for the receive rate limit"],
];

export class LimitLog {
  readonly #timer: ReturnType<typeof setInterval>;
  #before: Record<string, number> = {};

  /** @param snapshot the relay's state, asked for once a minute */
  constructor(snapshot: () => Promise<RelaySnapshot>, intervalMs = INTERVAL_MS) {
    this.#timer = setInterval(async () => {
      const { counters } = await snapshot();
      const hit = limitsHit(this.#before, counters);
      this.#before = counters;
      if (hit !== "") logger.warn("Limits hit in the last minute: {hit}", { hit });
    }, intervalMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** What was hit between two states, for a log line; empty for nothing. */
export function limitsHit(before: Record<string, number>, now: Record<string, number>): string {
  return LIMITS.flatMap(([field, name]) => {
    const count = (now[field] ?? 0) - (before[field] ?? 0);
    return count > 0 ? [`${count} ${name}`] : [];
  }).join(", ");
}
