import { verifyPassword } from "../auth/mod.ts";
import { isPlainText } from "../http/mod.ts";
import type { AccountRow, Store } from "../store/mod.ts";
import { decoyHash } from "./accounts.ts";
import { type AttemptLimits, Attempts, networkOf } from "./attempts.ts";

/** Passwords that are longer are wrong without being looked at, in UTF-16 units. */
const MAX_PASSWORD = 1024, MAX_USERNAME = 255;

/** How many wrong passwords are let through. */
export interface GateOptions {
  /** Of one user from one address. */
  pair: AttemptLimits;
  /** From one address. */
  address: AttemptLimits;
  /** Of one user from anywhere: loose, as strangers could lock the user out with it. */
  user: AttemptLimits;
  /** Checks at a time, each 32 MiB and a tenth of a second of a core, and how many may wait. */
  concurrent: number;
  waiting: number;
  now: () => number;
  /** Hears of each wrong password, before whoever sent it does. */
  refused?: (attempt: { username: string; address: string; requestId: string }) => Promise<void>;
}

const DEFAULTS: GateOptions = {
  pair: { burst: 5, everyMs: 30_000 },
  address: { burst: 30, everyMs: 5_000 },
  user: { burst: 100, everyMs: 10_000 },
  concurrent: 2,
  waiting: 32,
  now: Date.now,
};

/**
 * The account, or why not: a wrong name or password alike, too many tries, or, told to who knows the
 * password, an account that is disabled.
 */
export type SignedIn =
  | { account: AccountRow }
  | { refused: "wrong" }
  | { refused: "disabled" }
  | { refused: "later"; seconds: number };

/**
 * Checks passwords: at most so often for a user and for an address, and for a name that does not exist
 * just as long as for one that does.
 */
export class PasswordGate {
  readonly #store: Store;
  readonly #options: GateOptions;
  readonly #pair: Attempts;
  readonly #address: Attempts;
  readonly #user: Attempts;
  #running = 0;
  readonly #queue: (() => void)[] = [];

  constructor(store: Store, options: Partial<GateOptions> = {}) {
    this.#store = store;
    this.#options = { ...DEFAULTS, ...options };
    const { pair, address, user, now } = this.#options;
    this.#pair = new Attempts(pair, now);
    this.#address = new Attempts(address, now);
    this.#user = new Attempts(user, now);
  }

  /** Signs a user in with a password, for a client at `address` (an IP address). */
  async signIn(
    username: string,
    password: string,
    address: string,
    requestId = "",
  ): Promise<SignedIn> {
    // No account has a name that no database could keep.
    const sound = username !== "" && username.length <= MAX_USERNAME && isPlainText(username);
    if (!sound || password.length > MAX_PASSWORD) {
      return { refused: "wrong" };
    }
    const network = networkOf(address);
    const counters: [Attempts, string][] = [
      [this.#pair, `${network} ${username}`],
      [this.#address, network],
      [this.#user, username],
    ];
    const wait = Math.max(...counters.map(([attempts, key]) => attempts.wait(key)));
    if (wait > 0) return { refused: "later", seconds: Math.ceil(wait / 1000) };
    if (this.#queue.length >= this.#options.waiting) return { refused: "later", seconds: 2 };
    // Counted before the check, or many at once would all find the counter low.
    for (const [attempts, key] of counters) attempts.take(key);
    const account = await this.#verified(username, password);
    if (account === undefined) {
      await this.#options.refused?.({ username, address, requestId });
      return { refused: "wrong" };
    }
    for (const [attempts, key] of counters) attempts.giveBack(key);
    return account.disabled === 1 ? { refused: "disabled" } : { account };
  }

  async #verified(username: string, password: string): Promise<AccountRow | undefined> {
    if (this.#running >= this.#options.concurrent) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    } else {
      this.#running++;
    }
    try {
      const account = await this.#store.db.selectFrom("accounts").selectAll()
        .where("username", "=", username).executeTakeFirst();
      const stored = account?.password_hash || await decoyHash();
      const good = await verifyPassword(password, stored);
      return good && account?.password_hash ? account : undefined;
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
