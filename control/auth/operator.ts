import type { Reader } from "../store/mod.ts";
import type { Principal } from "./principal.ts";

/** Whether a caller runs this control plane: a user who signed in, whose account is marked so. */
export async function isOperator(db: Reader, principal: Principal): Promise<boolean> {
  if (principal.kind !== "user") return false;
  if (principal.operator !== undefined) return principal.operator;
  const row = await db.selectFrom("users").innerJoin("accounts", "accounts.id", "users.subject")
    .select("accounts.operator").where("users.id", "=", principal.ownerId).executeTakeFirst();
  return row?.operator === 1;
}
