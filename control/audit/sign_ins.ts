import type { Origin } from "../auth/mod.ts";
import type { Store, Write } from "../store/mod.ts";
import { clip } from "./difference.ts";
import { type Deed, record } from "./record.ts";

/**
 * Records what somebody did at the issuer, who is known by an account there: in the log of the user's
 * own organization, or, before there is a user, in that of the service.
 */
export async function recordOfAccount(
  write: Write,
  account: { id: string; username: string },
  from: Origin | undefined,
  deed: Omit<Deed, "organizationId">,
): Promise<void> {
  const user = await write.db.selectFrom("users").select("id").where("subject", "=", account.id)
    .where("deleted_at", "is", null).executeTakeFirst();
  const actor = { kind: "user" as const, id: user?.id ?? account.id, name: account.username, from };
  record(write, actor, { ...deed, organizationId: user?.id ?? "" });
}

/** Refused sign-ins that are written at once, and one more each so many milliseconds. */
const REFUSED = 1_000, REFUSED_EVERY_MS = 10_000;

/** A sign-in that was refused. */
export interface SignInAttempt {
  /** As it was typed. */
  username: string;
  /** `password`, or another way. */
  method: string;
  /** At another issuer: who it was, by `subject` of the user. */
  subject?: string;
  /** Why, if that is more than a wrong name or password. */
  reason?: string;
  from: Origin;
}

/**
 * Writes refused sign-ins. Strangers make them, so they are written at a bounded rate: a thousand at
 * once, then one every ten seconds, which tells how many were left out before it.
 */
export class SignInLog {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #heard: (() => void) | undefined;
  #room = REFUSED;
  #since: number;
  #skipped = 0;

  /** @param heard is called for each, written or not */
  constructor(store: Store, now: () => number = Date.now, heard?: () => void) {
    this.#heard = heard;
    this.#store = store;
    this.#now = now;
    this.#since = now();
  }

  /** Writes one, for the user's own organization where there is such a user. */
  async refused({ username, method, subject, reason, from }: SignInAttempt): Promise<void> {
    this.#heard?.();
    if (!this.#take()) {
      this.#skipped++;
      return;
    }
    const skipped = this.#skipped;
    this.#skipped = 0;
    const name = clip(username, 255);
    await this.#store.write(async (write) => {
      const user = subject === undefined
        ? await write.db.selectFrom("accounts")
          .innerJoin("users", "users.subject", "accounts.id")
          .select("users.id").where("accounts.username", "=", name)
          .where("users.deleted_at", "is", null).executeTakeFirst()
        : await write.db.selectFrom("users").select("users.id").where("subject", "=", subject)
          .where("deleted_at", "is", null).executeTakeFirst();
      record(write, { kind: "user", id: user?.id ?? "", name, from }, {
        action: "session.start",
        organizationId: user?.id ?? "",
        id: "",
        name,
        outcome: "refused",
        changes: {
          method: { new: method },
          ...(reason === undefined ? {} : { reason: { new: reason } }),
          ...(skipped === 0 ? {} : { left_out: { new: skipped } }),
        },
      });
    });
  }

  #take(): boolean {
    const now = this.#now();
    const earned = Math.floor(Math.max(0, now - this.#since) / REFUSED_EVERY_MS);
    this.#room = Math.min(REFUSED, this.#room + earned);
    // A clock that was set back begins to count anew.
    this.#since = now < this.#since ? now : this.#since + earned * REFUSED_EVERY_MS;
    if (this.#room === 0) return false;
    this.#room--;
    return true;
  }
}
