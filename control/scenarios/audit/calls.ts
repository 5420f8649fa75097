/** Calls that several tests of the audit log make. */
import type { Answer, TestControl } from "../../testing.ts";

/** What a client of the issuer sends of itself. */
export const CLIENT = { client_id: "nexodus-cli" };

/** Adds a relay, as the operator. */
export async function addRelay(control: TestControl): Promise<{ answer: Answer; path: string }> {
  const body = { hostname: "relay.control.test" };
  const answer = await control.call("POST", "/api/relay-regions", "user-operator", body);
  return { answer, path: `/api/relay-regions/${answer.body.id}` };
}

/** Signs `zoe` in, who is made for it. */
export async function signIn(control: TestControl, password = "correct horse"): Promise<Answer> {
  const { db } = control.store;
  const known = await db.selectFrom("accounts").select("id").where("username", "=", "zoe")
    .executeTakeFirst();
  if (!known) await control.addAccount("zoe", "correct horse");
  return await control.form("/oauth/token", {
    ...CLIENT,
    grant_type: "password",
    username: "zoe",
    password,
    scope: "openid offline_access read:users write:users read:organizations",
  });
}
