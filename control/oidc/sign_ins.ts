/** Sign-ins at another issuer in the audit log: what is seen of them here, which is their tokens. */
import { createHash } from "node:crypto";
import { record, SignInLog } from "../audit/mod.ts";
import type { Origin } from "../auth/mod.ts";
import type { Reader, Store } from "../store/mod.ts";
import type { Claims } from "./token.ts";

/** Sessions, and tokens that were refused, which are remembered. */
const MAX_SEEN = 10_000;
/** Of sessions that their tokens do not name, s. */
const DAY = 86_400;

/** See the top of the file. */
export class IssuerSignIns {
  readonly #store: Store;
  readonly #issuer: string;
  readonly #log: SignInLog;
  /** Each with its row, which may be under way. */
  readonly #seen = new Map<string, Promise<void>>();

  constructor(store: Store, issuer: string, now: () => number, refused?: () => void) {
    this.#store = store;
    this.#issuer = issuer;
    this.#log = new SignInLog(store, now, refused);
  }

  /** Records the session of a good token, if it is new to all control planes of the database. */
  async good(
    user: { id: string; username: string },
    claims: Claims,
    from: Origin | undefined,
  ): Promise<void> {
    const key = `${user.id} ${sessionOf(claims)}`;
    await this.#once(key, async () => {
      const id = shortened(`${this.#issuer} ${key}`);
      if (await this.#has(this.#store.db, user.id, id)) return;
      await this.#store.write(async (write) => {
        if (await this.#has(write.db, user.id, id)) return;
        record(write, { kind: "user", id: user.id, name: user.username, from }, {
          ...{ action: "session.start", organizationId: user.id, id, name: user.username },
          changes: {
            method: { new: "issuer" },
            client: { new: clientOf(claims) },
            scope: { new: claims.scopes?.join(" ") ?? "" },
          },
        });
      });
    });
  }

  /** Records a token that the issuer has made and that is not for this control plane, once. */
  async foreign(claims: Claims, name: string, from: Origin | undefined): Promise<void> {
    const subject = `${this.#issuer} ${claims.sub}`;
    await this.#once(`refused ${subject} ${sessionOf(claims)}`, () =>
      this.#log.refused({
        ...{ username: name, subject, method: "issuer", reason: "a token for another audience" },
        from: from ?? { requestId: "", address: "" },
      }));
  }

  /** Records a browser that came back with what the issuer gives no tokens for. */
  async refused(reason: string, from: Origin): Promise<void> {
    await this.#log.refused({ username: "", method: "browser", reason, from });
  }

  async #once(key: string, work: () => Promise<void>): Promise<void> {
    const known = this.#seen.get(key);
    if (known !== undefined) return await known;
    const row = work();
    this.#seen.set(key, row);
    if (this.#seen.size > MAX_SEEN) this.#seen.delete(this.#seen.keys().next().value!);
    try {
      await row;
    } catch (error) {
      this.#seen.delete(key);
      throw error;
    }
  }

  async #has(db: Reader, organizationId: string, id: string): Promise<boolean> {
    const row = await db.selectFrom("audit_log").select("id")
      .where("organization_id", "=", organizationId)
      .where("action", "=", "session.start").where("resource_id", "=", id)
      .limit(1).executeTakeFirst();
    return row !== undefined;
  }
}

/**
 * What is the same in all tokens of a session: its id (OpenID Connect Front-Channel Logout), or when the
 * user signed in. Where the issuer tells neither, one day of one client is taken for a session.
 */
function sessionOf(claims: Claims): string {
  const { sid, auth_time, iat } = claims;
  if (typeof sid === "string" && sid !== "") return `id ${shortened(sid)}`;
  if (typeof auth_time === "number") return `at ${auth_time} ${clientOf(claims)}`;
  return `on ${Math.floor((iat ?? 0) / DAY)} ${clientOf(claims)}`;
}

/** Which client the token was given to (RFC 9068; `azp` as Keycloak has it). */
function clientOf({ client_id, azp }: Claims): string {
  const client = client_id ?? azp;
  return typeof client === "string" ? client.slice(0, 255) : "";
}

function shortened(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
