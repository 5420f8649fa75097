/**
 * The keys that tokens are signed with. Each is derived from the control plane's secret and a number;
 * the database holds the numbers and when each began, so nothing in it opens a door.
 */
import { Buffer } from "node:buffer";
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import type { Store } from "../store/mod.ts";

/** A key signs for so long, and what it has signed can be checked for a day longer, ms. */
const KEY_AGE = 90 * 24 * 3600_000, KEY_GRACE = 24 * 3600_000;
/** Tokens with unknown keys make us look for new ones at most this often, ms. */
const RELOAD_PAUSE = 1_000;

/** DER that precedes the 32 bytes of an Ed25519 private key. */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

interface SigningKey {
  id: string;
  x: string;
  secret: KeyObject;
  public: KeyObject;
  createdAt: number;
}

/** A public key as JWK (RFC 8037). */
export interface PublicJwk {
  kty: "OKP";
  crv: "Ed25519";
  x: string;
  kid: string;
  use: "sig";
  alg: "EdDSA";
}

/** Signs and checks JSON Web Tokens (RFC 7519) with Ed25519. */
export class SigningKeys {
  readonly #store: Store;
  readonly #secret: Uint8Array;
  readonly #now: () => number;
  #keys: SigningKey[] = [];
  #loadedAt = -Infinity;

  private constructor(store: Store, secret: Uint8Array, now: () => number) {
    this.#store = store;
    this.#secret = secret;
    this.#now = now;
  }

  /** The keys of this database; the first one is made where there is none. */
  static async open(
    store: Store,
    secret: Uint8Array,
    now: () => number = Date.now,
  ): Promise<SigningKeys> {
    const keys = new SigningKeys(store, secret, now);
    await keys.#current();
    return keys;
  }

  /** What others check tokens with. */
  async publicKeys(): Promise<PublicJwk[]> {
    await this.#current();
    return this.#good().map(({ id, x }) => ({
      kty: "OKP",
      crv: "Ed25519",
      x,
      kid: id,
      use: "sig",
      alg: "EdDSA",
    }));
  }

  /**
   * A token with these claims.
   *
   * @param type media type for its head: one kind of token is never taken for another
   */
  async sign(type: string, claims: Record<string, unknown>): Promise<string> {
    const key = await this.#current();
    const head = part({ alg: "EdDSA", typ: type, kid: key.id });
    const body = `${head}.${part(claims)}`;
    return `${body}.${sign(null, Buffer.from(body), key.secret).toString("base64url")}`;
  }

  /** The claims of a token of this type that we signed, or undefined. The times in it are not checked. */
  async verify(type: string, token: string): Promise<Record<string, unknown> | undefined> {
    const [head, claims, signature, ...rest] = token.split(".");
    if (!head || !claims || !signature || rest.length > 0) return undefined;
    const about = parsed(head);
    if (about?.alg !== "EdDSA" || about.typ !== type) return undefined;
    const key = this.#find(about.kid) ?? await this.#findAnew(about.kid);
    if (key === undefined) return undefined;
    const bytes = Buffer.from(signature, "base64url");
    if (bytes.length !== 64 || bytes.toString("base64url") !== signature) return undefined;
    return verify(null, Buffer.from(`${head}.${claims}`), key.public, bytes)
      ? parsed(claims)
      : undefined;
  }

  #find(id: unknown): SigningKey | undefined {
    return this.#good().find((key) => key.id === id);
  }

  /** The same after a look into the database, as another control plane may have made the next key. */
  async #findAnew(id: unknown): Promise<SigningKey | undefined> {
    if (!this.#store.shared || performance.now() - this.#loadedAt < RELOAD_PAUSE) return undefined;
    this.#loadedAt = performance.now();
    this.#use(
      await this.#store.db.selectFrom("signing_keys").selectAll().orderBy("generation").execute(),
    );
    return this.#find(id);
  }

  #use(rows: readonly { generation: number; created_at: string }[]): void {
    this.#keys = rows.slice(-2).map((row) =>
      signingKey(this.#secret, row.generation, Date.parse(row.created_at))
    );
  }

  #good(): SigningKey[] {
    return this.#keys.filter(({ createdAt }) => this.#now() - createdAt < KEY_AGE + KEY_GRACE);
  }

  /** The key that signs now; the next one is made when it has grown old. */
  async #current(): Promise<SigningKey> {
    const newest = this.#keys.at(-1);
    if (newest !== undefined && this.#now() - newest.createdAt < KEY_AGE) return newest;
    const rows = await this.#store.write(async ({ db }) => {
      const known = await db.selectFrom("signing_keys").selectAll().orderBy("generation").execute();
      const last = known.at(-1);
      const now = this.#now();
      if (last !== undefined && now - Date.parse(last.created_at) < KEY_AGE) return known;
      const row = {
        generation: (last?.generation ?? 0) + 1,
        created_at: new Date(now).toISOString(),
      };
      await db.insertInto("signing_keys").values(row).execute();
      return [...known, row];
    });
    this.#use(rows);
    return this.#keys.at(-1)!;
  }
}

function signingKey(secret: Uint8Array, generation: number, createdAt: number): SigningKey {
  const seed = hkdfSync("sha256", secret, "", `nexd signing key ${generation}`, 32);
  const der = Buffer.concat([PKCS8_PREFIX, Buffer.from(seed)]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const shown = createPublicKey(key);
  const x = shown.export({ format: "jwk" }).x as string;
  // RFC 7638: the members of the key in order of their names.
  const thumbprint = createHash("sha256").update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`);
  return { id: thumbprint.digest("base64url"), x, secret: key, public: shown, createdAt };
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}
