/** Whose tokens: users of the API that stand for subjects of the issuer. */
import { getLogger } from "@logtape/logtape";
import type { JWTPayload } from "jose";
import type { Origin } from "../auth/mod.ts";
import { difference, record } from "../audit/mod.ts";
import { isPlainText } from "../http/mod.ts";
import type { Reader, Store, UserRow } from "../store/mod.ts";
import { createUser } from "../tenants.ts";
import { recordUser } from "../users/mod.ts";
import type { RemoteIssuer } from "./remote.ts";
import type { Claims } from "./token.ts";

const log = getLogger(["nexd", "control", "oidc"]);

/** Longest texts that are kept, in characters. */
const MAX_NAME = 255, MAX_PICTURE = 2048;

/** What the issuer says of a person; what it does not say is absent. */
interface Profile {
  username?: string;
  full_name?: string;
  picture?: string;
  /** Only one that is verified. */
  email?: string;
}

/**
 * The user of a subject, made at the first sign-in with an organization, a VPC and a security group. The
 * name and the address follow what later tokens say; a token that says nothing blanks nothing.
 */
export async function userOf(
  deps: { store: Store; remote: RemoteIssuer; issuer: string },
  claims: Claims,
  bearer: string,
  from: Origin | undefined,
): Promise<{ id: string; username: string }> {
  const { store } = deps;
  // Another issuer's subject of the same text is another person.
  const subject = `${deps.issuer} ${claims.sub}`;
  const known = await find(store.db, subject);
  const said = profileOf(claims);
  if (known !== undefined) {
    if (differs(known, said)) await update(store, known.id, said, from);
    return known;
  }
  const profile = said.username === undefined
    ? { ...await asked(deps, claims, bearer), ...said }
    : said;
  return await store.write(async (write) => {
    const made = await find(write.db, subject);
    if (made !== undefined) return made;
    const { username, full_name, picture, email } = profile;
    const name = username ?? email ?? claims.sub;
    const id = await createUser(write, {
      subject,
      username: name,
      ...(full_name === undefined ? {} : { fullName: full_name }),
      ...(picture === undefined ? {} : { picture }),
      ...(email === undefined ? {} : { email }),
    });
    recordUser(write, { kind: "user", id, name, from });
    return { id, username: name };
  });
}

async function find(db: Reader, subject: string): Promise<UserRow | undefined> {
  return await db.selectFrom("users").selectAll().where("subject", "=", subject)
    .executeTakeFirst();
}

/** What the issuer tells who asks with the token: not every access token has names in it. */
async function asked(
  { remote }: { remote: RemoteIssuer },
  { sub }: Claims,
  bearer: string,
): Promise<Profile> {
  try {
    const { userinfo } = await remote.metadata();
    if (userinfo === undefined) return {};
    const { status, body } = await remote.ask(userinfo, { bearer });
    // Of another one it may not speak (OpenID Connect Core, 5.3.2).
    return status === 200 && body.sub === sub ? profileOf(body) : {};
  } catch (error) {
    log.info("the issuer does not tell who has just signed in: {error}", { error });
    return {};
  }
}

function differs(row: UserRow, { full_name, picture, email }: Profile): boolean {
  return (full_name !== undefined && full_name !== row.full_name) ||
    (picture !== undefined && picture !== row.picture) ||
    (email !== undefined && email !== row.email);
}

async function update(
  store: Store,
  id: string,
  profile: Profile,
  from: Origin | undefined,
): Promise<void> {
  const { full_name, picture, email } = profile;
  await store.write(async (write) => {
    const before = await write.db.selectFrom("users").selectAll().where("id", "=", id)
      .where("deleted_at", "is", null).executeTakeFirst();
    if (before === undefined) return;
    const after = { ...before, ...profile };
    record(write, { kind: "user", id, name: before.username, from }, {
      action: "user.update",
      organizationId: id,
      id,
      name: before.username,
      changes: difference(before, after, ["full_name", "picture", "email"]),
    });
    await write.db.updateTable("users").set({
      ...(full_name === undefined ? {} : { full_name }),
      ...(picture === undefined ? {} : { picture }),
      ...(email === undefined ? {} : { email }),
    }).where("id", "=", id).execute();
  });
}

/** Names as Nexodus takes them from a token. */
function profileOf(claims: JWTPayload): Profile {
  const username = line(claims.preferred_username) ?? line(claims.name);
  const parts = [line(claims.given_name), line(claims.family_name)].filter((part) => part);
  const full_name = parts.length > 0 ? parts.join(" ") : line(claims.name);
  const picture = line(claims.picture, MAX_PICTURE);
  const email = claims.email_verified === true ? line(claims.email)?.toLowerCase() : undefined;
  return {
    ...(username === undefined ? {} : { username }),
    ...(full_name === undefined ? {} : { full_name }),
    ...(picture === undefined ? {} : { picture }),
    ...(email === undefined || !/^[^@\s]+@[^@\s]+$/.test(email) ? {} : { email }),
  };
}

/** What to call somebody who is not let in. */
export function nameOf(claims: JWTPayload): string {
  return profileOf(claims).username ?? line(claims.sub) ?? "";
}

/** One short line of text, or undefined. */
function line(value: unknown, max = MAX_NAME): string | undefined {
  if (typeof value !== "string" || !isPlainText(value)) return undefined;
  const text = value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim().slice(0, max);
  return text === "" ? undefined : text.toWellFormed();
}
