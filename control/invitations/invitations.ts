import { randomBytes } from "node:crypto";
import type { SelectQueryBuilder } from "kysely";
import type { AddInvitation, Invitation } from "../api/types.ts";
import { type Actor, record } from "../audit/mod.ts";
import { hashToken, type Principal } from "../auth/mod.ts";
import { conflict, fieldInvalid, fieldMissing, notFound, Problem } from "../http/mod.ts";
import { ownedOrganization, type Role, roleMark, ROLES } from "../organizations/mod.ts";
import type { InvitationRow, Reader, Store, Tables, Write } from "../store/mod.ts";

/** How long an invitation is good, ms. */
const LIFE = 7 * 24 * 3600 * 1000;
/** Most invitations that wait in one organization: an owner could fill the table with them. */
const MAX_WAITING = 1000;
/** Longest code of a link that is looked at, in characters. */
const MAX_CODE = 64;

/** An invitation with what it leads to and whom it comes from. */
interface InvitationView extends InvitationRow {
  organization_name: string;
  organization_description: string;
  from_username: string;
  from_full_name: string;
  from_picture: string;
}

/**
 * The invitations that a caller sees: those that are for it, by user id or by e-mail address, and those
 * of organizations that it owns. None that has expired.
 */
export function invitationsQuery(
  db: Reader,
  principal: Principal,
): SelectQueryBuilder<Tables, "invitations" | "organizations" | "users", InvitationView> {
  return views(db)
    .where((eb) =>
      eb.or([
        isFor(eb, principal.ownerId),
        eb(
          "invitations.organization_id",
          "in",
          eb.selectFrom("memberships").select("memberships.organization_id")
            .where("memberships.user_id", "=", principal.ownerId)
            .where("memberships.roles_json", "like", roleMark("owner")),
        ),
      ])
    );
}

/** Invitations that have not expired, with what they lead to. */
function views(db: Reader) {
  return db.selectFrom("invitations")
    .innerJoin("organizations", "organizations.id", "invitations.organization_id")
    .innerJoin("users", "users.id", "invitations.from_user_id")
    .selectAll("invitations")
    .select([
      "organizations.name as organization_name",
      "organizations.description as organization_description",
      "users.username as from_username",
      "users.full_name as from_full_name",
      "users.picture as from_picture",
    ])
    .where("invitations.expires_at", ">", new Date().toISOString());
}

/** Holds for invitations of a user: by its id, or by an address that is known to be its own. */
// deno-lint-ignore no-explicit-any -- of a query that has the table `invitations`
function isFor(eb: any, userId: string) {
  return eb.or([
    eb("invitations.user_id", "=", userId),
    eb(
      "invitations.email",
      "in",
      eb.selectFrom("users as me").select("me.email").where("me.id", "=", userId)
        .where("me.email", "!=", ""),
    ),
  ]);
}

/** An invitation that the caller sees, or 404. */
export async function visibleInvitation(
  db: Reader,
  principal: Principal,
  id: string,
): Promise<InvitationView> {
  const row = await invitationsQuery(db, principal).where("invitations.id", "=", id)
    .executeTakeFirst();
  if (!row) throw notFound("invitation");
  return row;
}

/** An invitation as the API shows it where it is read. */
export function toInvitation(row: InvitationView): Invitation {
  const { organization_id: id, organization_name: name, organization_description } = row;
  return {
    ...toNewInvitation(row),
    organization: { id, name, description: organization_description },
    from: {
      id: row.from_user_id,
      full_name: row.from_full_name,
      picture: row.from_picture,
      username: row.from_username,
    },
  };
}

/** An invitation as the API shows it to who has just made it. */
export function toNewInvitation(row: InvitationRow): Invitation {
  return {
    id: row.id,
    ...(row.user_id === null ? {} : { user_id: row.user_id }),
    // Never absent: the Go administration tool fails on a list with an invitation that has none.
    email: row.email ?? "",
    organization_id: row.organization_id,
    expires_at: row.expires_at,
    roles: JSON.parse(row.roles_json) as string[],
  };
}

/**
 * Invites a user into an organization that the caller owns, by id or by e-mail address; stock tools
 * send the other one as `""`. 404 for the organization or the user, 400 for a member, 409 with the id
 * of an invitation that waits already.
 *
 * With an address no user needs to exist: whoever signs in with it later finds the invitation. `code`
 * is there when nobody can yet: with it a new person accepts once, and chooses a password. It says
 * nothing about who has the address, so it gives no account the address either.
 */
export async function invite(
  store: Store,
  principal: Principal,
  body: AddInvitation,
): Promise<{ row: InvitationRow; code?: string }> {
  const userId = body.user_id || undefined;
  const email = body.email?.trim().toLowerCase() || undefined;
  if (userId === undefined && email === undefined) throw fieldMissing("email or user_id");
  if (userId !== undefined && email !== undefined) {
    throw new Problem(400, {
      error: "field not present",
      field: "both email and user_id present",
    });
  }
  if (email !== undefined && !/^[^@\s]+@[^@\s]+$/.test(email)) {
    throw fieldInvalid("email", "is not an e-mail address");
  }
  const organizationId = body.organization_id;
  if (!organizationId) throw fieldMissing("organization_id");
  const roles = rolesOf(body.roles);
  return await store.write(async (write) => {
    const { db } = write;
    await ownedOrganization(db, principal, organizationId);
    const now = new Date();
    await db.deleteFrom("invitations").where("expires_at", "<=", now.toISOString()).execute();
    const user = await invitedUser(db, userId, email);
    if (user && await isMember(db, user, organizationId)) throw fieldInvalid("organization");
    const waiting = await db.selectFrom("invitations").select(["id", "user_id", "email"])
      .where("organization_id", "=", organizationId).execute();
    const same = waiting.find((other) =>
      (email !== undefined && other.email === email) ||
      (user !== undefined && other.user_id === user)
    );
    if (same) throw conflict(same.id);
    if (waiting.length >= MAX_WAITING) {
      throw fieldInvalid("organization", `${MAX_WAITING} invitations wait already`);
    }
    const isNew = email !== undefined && user === undefined && !await isKnown(db, email);
    const code = isNew ? randomBytes(24).toString("base64url") : undefined;
    const row: InvitationRow = {
      id: crypto.randomUUID(),
      organization_id: organizationId,
      user_id: user ?? null,
      email: email ?? null,
      from_user_id: principal.ownerId,
      roles_json: JSON.stringify(roles),
      created_at: now.toISOString(),
      expires_at: new Date(now.getTime() + LIFE).toISOString(),
      link_hash: code === undefined ? null : hashToken(code),
    };
    await db.insertInto("invitations").values(row).execute();
    recordInvitation(write, principal, "create", row);
    return { row, ...(code === undefined ? {} : { code }) };
  });
}

/** Whether an account or a user has an address. */
async function isKnown(db: Reader, email: string): Promise<boolean> {
  const user = await db.selectFrom("users").select("id").where("email", "=", email)
    .executeTakeFirst();
  if (user) return true;
  const account = await db.selectFrom("accounts").select("id")
    .where((eb) => eb(eb.fn<string>("lower", ["email"]), "=", email)).executeTakeFirst();
  return account !== undefined;
}

function rolesOf(given: readonly string[] | null | undefined): Role[] {
  if (!given || given.length === 0) return ["member"];
  const unknown = given.find((role) => !(ROLES as readonly string[]).includes(role));
  if (unknown !== undefined) {
    throw fieldInvalid("roles", `${unknown} is none of ${ROLES.join(", ")}`);
  }
  return ROLES.filter((role) => given.includes(role));
}

/** The user that is invited: the one with the id, else the only one with the address. */
async function invitedUser(
  db: Reader,
  userId: string | undefined,
  email: string | undefined,
): Promise<string | undefined> {
  const query = db.selectFrom("users").select("id").where("deleted_at", "is", null);
  if (userId !== undefined) {
    const user = await query.where("id", "=", userId).executeTakeFirst();
    if (!user) throw notFound("user");
    return user.id;
  }
  const users = await query.where("email", "=", email!).limit(2).execute();
  return users.length === 1 ? users[0]!.id : undefined;
}

async function isMember(db: Reader, userId: string, organizationId: string): Promise<boolean> {
  const row = await db.selectFrom("memberships").select("user_id").where("user_id", "=", userId)
    .where("organization_id", "=", organizationId).executeTakeFirst();
  return row !== undefined;
}

/** Makes who is invited a member; 404 for everybody else, whoever made the invitation included. */
export async function acceptInvitation(
  store: Store,
  principal: Principal,
  id: string,
): Promise<void> {
  await store.write(async (write) => {
    const { db } = write;
    const row = await db.selectFrom("invitations").selectAll().where("id", "=", id)
      .where("expires_at", ">", new Date().toISOString())
      .where((eb) => isFor(eb, principal.ownerId)).executeTakeFirst();
    if (!row) throw notFound("invitation");
    await join(db, row, principal.ownerId);
    recordInvitation(write, principal, "accept", row);
  });
}

/** The invitation of a link's code, with what it leads to; undefined: it is used, old or none. */
export async function linkedInvitation(
  db: Reader,
  code: string,
): Promise<InvitationView | undefined> {
  if (code.length > MAX_CODE) return undefined;
  return await views(db).where("invitations.link_hash", "=", hashToken(code)).executeTakeFirst();
}

/** Makes a user a member by a link's code, once; false: the code is good no more. */
export async function acceptLinked(write: Write, code: string, user: Actor): Promise<boolean> {
  const row = await linkedInvitation(write.db, code);
  if (row === undefined) return false;
  await join(write.db, row, user.id);
  recordInvitation(write, user, "accept", row);
  return true;
}

async function join(db: Reader, row: InvitationRow, userId: string): Promise<void> {
  // Who is a member already, by another invitation, stays what it is.
  await db.insertInto("memberships").values({
    user_id: userId,
    organization_id: row.organization_id,
    roles_json: row.roles_json,
  }).onConflict((conflict) => conflict.doNothing()).execute();
  await db.deleteFrom("invitations").where("id", "=", row.id).execute();
}

/** Takes an invitation back, or turns it down; 404 for who does not see it. */
export async function deleteInvitation(
  store: Store,
  principal: Principal,
  id: string,
): Promise<void> {
  await store.write(async (write) => {
    const row = await visibleInvitation(write.db, principal, id);
    await write.db.deleteFrom("invitations").where("id", "=", id).execute();
    recordInvitation(write, principal, "delete", row);
  });
}

function recordInvitation(
  write: Write,
  by: Principal | Actor,
  action: "create" | "accept" | "delete",
  row: InvitationRow,
): void {
  record(write, by, {
    action: `invitation.${action}`,
    organizationId: row.organization_id,
    id: row.id,
    name: row.email ?? row.user_id ?? "",
    changes: { roles: action === "delete" ? { old: row.roles_json } : { new: row.roles_json } },
  });
}
