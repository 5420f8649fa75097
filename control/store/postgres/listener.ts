import { getLogger } from "@logtape/logtape";
import type { Transaction } from "kysely";
import { sql } from "kysely";
import { ControlError } from "../../errors.ts";
import type { Change, Heard } from "../backend.ts";
import type { RevisionName, Tables } from "../tables.ts";
import type { PostgresAddress } from "./address.ts";
import { Client, clientConfig } from "./client.ts";
import { RUNNING_LOCK } from "./locks.ts";

const log = getLogger(["nexd", "control", "store"]);

const CHANNEL = "nexd_changes";
/** Changes named in one notification, which may have 8,000 bytes; more of them are "everything". */
const MAX_NAMED = 64, MAX_PAYLOAD = 7_900;
/** How often the connection is tried while nothing is heard, and how long the answer may take, ms. */
const PROBE_MS = 10_000, PROBE_TIMEOUT = 5_000;
/** Pauses before connecting again: the first, doubled up to the last, ms. */
const PAUSE_MS = [100, 5_000] as const;

const KINDS: ReadonlySet<string> = new Set<RevisionName | "callers">([
  "callers",
  "devices",
  "device_metadata",
  "security_groups",
  "vpcs",
  "relay_regions",
  "audit_log",
]);

/** What other control planes are told of changes. */
export function notification(sender: string, changes: readonly Change[]): string {
  const rows = changes.filter(({ kind }) => kind !== "paths");
  const named = rows.length > MAX_NAMED ? undefined : rows.map(({ kind, vpcId }) => [kind, vpcId]);
  // Beside the changes: to a control plane that does not know a kind of change it is everything, and
  // these come all the time while an upgrade goes on.
  const paths = changes.filter(({ kind }) => kind === "paths").map(({ vpcId }) => vpcId);
  const payload = JSON.stringify({ from: sender, changes: named, paths });
  return payload.length < MAX_PAYLOAD ? payload : "{}";
}

/** Tells the other control planes, when the transaction is committed, what it has changed. */
export async function announce(
  db: Transaction<Tables>,
  sender: string,
  changes: readonly Change[],
): Promise<void> {
  await sql`select pg_notify(${CHANNEL}, ${notification(sender, changes)})`.execute(db);
}

/** What a notification says; undefined when it is our own. What cannot be read may be anything. */
export function heardIn(payload: string, self: string): readonly Heard[] | undefined {
  try {
    const { from, changes, paths = [] } = JSON.parse(payload) as Record<string, unknown>;
    if (from === self) return undefined;
    if (!Array.isArray(changes) || !Array.isArray(paths)) return ["everything"];
    const rows = changes.map(([kind, vpcId]) => {
      if (!KINDS.has(kind) || typeof vpcId !== "string") throw new Error("not a change");
      return { kind, vpcId } as Change;
    });
    return [...rows, ...paths.map((vpcId): Change => ({ kind: "paths", vpcId: String(vpcId) }))];
  } catch {
    return ["everything"];
  }
}

/**
 * Hears what other control planes change, on a connection of its own. While that is lost nothing is
 * heard; once it is back, listeners are told that everything may have changed, and catch up by
 * revision.
 */
export class Listener {
  readonly #address: PostgresAddress;
  readonly #self: string;
  readonly #hear: (heard: Heard) => void;
  #client: Client | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause: number = PAUSE_MS[0];
  #closed = false;

  constructor(address: PostgresAddress, self: string, hear: (heard: Heard) => void) {
    this.#address = address;
    this.#self = self;
    this.#hear = hear;
  }

  /** Connects; from then on nothing is missed unnoticed. Throws what the first connection throws. */
  async start(): Promise<void> {
    await this.#connect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => {});
  }

  async #connect(): Promise<void> {
    const client = new Client({
      ...clientConfig(this.#address),
      query_timeout: PROBE_TIMEOUT,
      application_name: `${this.#address.applicationName} (listener)`,
    });
    // Also while it connects: an error that nobody hears would end the process.
    client.on("error", (error) => this.#lost(client, error));
    client.on("end", () => this.#lost(client, undefined));
    client.on("notification", ({ payload }) => {
      for (const heard of heardIn(payload ?? "", this.#self) ?? []) this.#hear(heard);
    });
    this.#client = client;
    try {
      await client.connect();
      await this.#holdRunning(client);
      await client.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      if (this.#client === client) this.#client = undefined;
      await client.end().catch(() => {});
      throw error;
    }
    this.#probeLater(client);
  }

  /** Held as long as the connection lasts, so that nobody restores a database that is in use. */
  async #holdRunning(client: Client): Promise<void> {
    const { rows } = await client.query("SELECT pg_try_advisory_lock_shared($1) AS held", [
      RUNNING_LOCK,
    ]);
    if (rows[0]?.held === true) return;
    throw new ControlError(
      `Cannot use the database at ${this.#address.shown}: a backup is being restored into it; ` +
        `wait until that is done`,
    );
  }

  #probeLater(client: Client): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      client.query("SELECT 1").then(
        () => this.#client === client && !this.#closed && this.#probeLater(client),
        (error: unknown) => this.#lost(client, error),
      );
    }, PROBE_MS);
  }

  #lost(client: Client, error: unknown): void {
    if (this.#closed || this.#client !== client) return;
    this.#client = undefined;
    clearTimeout(this.#timer);
    log.warn("the database no longer tells of changes: {error}", { error: String(error) });
    // Not awaited: a server that is gone does not answer a goodbye either.
    client.end().catch(() => {});
    this.#again();
  }

  #again(): void {
    const pause = this.#pause * (0.5 + Math.random() / 2);
    this.#pause = Math.min(this.#pause * 2, PAUSE_MS[1]);
    this.#timer = setTimeout(async () => {
      try {
        await this.#connect();
      } catch (error) {
        log.debug("still no connection to the database: {error}", { error: String(error) });
        if (!this.#closed) this.#again();
        return;
      }
      if (this.#closed) return void await this.close();
      this.#pause = PAUSE_MS[0];
      log.info("the database tells of changes again");
      this.#hear("everything");
    }, pause);
  }
}
