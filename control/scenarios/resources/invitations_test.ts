import assert from "node:assert/strict";
import { notFound, People, type Person } from "./people.ts";

const INVITATIONS = "/api/invitations";

async function invite(from: Person, to: object): Promise<{ id: string }> {
  return await from.expect(201, "POST", INVITATIONS, { organization_id: from.id, ...to });
}

Deno.test("a user is invited by address before it has ever signed in, and finds the invitation", async () => {
  await using people = await People.start();
  const sol = await people.person("sol");
  const { id } = await invite(sol, { email: " Mel@Control.test ", roles: ["owner", "member"] });
  const [listed] = await sol.expect(200, "GET", INVITATIONS);
  const inAWeek = Date.now() + 7 * 24 * 3600_000;
  assert.ok(Math.abs(Date.parse(listed.expires_at) - inAWeek) < 60_000);
  assert.deepEqual(listed, {
    id,
    email: "mel@control.test",
    organization_id: sol.id,
    organization: { id: sol.id, name: "sol", description: "sol's organization" },
    expires_at: listed.expires_at,
    from: { id: sol.id, full_name: "", picture: "", username: "sol" },
    roles: ["owner", "member"],
  });
  const [mel, eve] = [await people.person("mel"), await people.person("eve")];
  assert.deepEqual(await mel.expect(200, "GET", INVITATIONS), [listed]);
  assert.deepEqual(await eve.expect(200, "GET", INVITATIONS), []);
  for (const person of [eve, sol]) {
    await person.refused(404, notFound("invitation"), "POST", `${INVITATIONS}/${id}/accept`);
  }
  await mel.expect(204, "POST", `${INVITATIONS}/${id}/accept`);
  await mel.refused(404, notFound("invitation"), "POST", `${INVITATIONS}/${id}/accept`);
  // An owner by now.
  await mel.expect(200, "PATCH", `/api/vpcs/${sol.id}`, { description: "ours" });
});

Deno.test("an account's address is what the issuer knows of it, and none matches nobody", async () => {
  await using people = await People.start();
  const sol = await people.person("sol");
  const { control } = people;
  await control.addAccount("kim", "correct horse");
  await control.store.db.updateTable("accounts").set({ email: "Kim@Control.test" })
    .where("username", "=", "kim").execute();
  const { id } = await invite(sol, { email: "kim@control.test" });
  const { body: tokens } = await control.form("/oauth/token", {
    client_id: "nexodus-cli",
    grant_type: "password",
    username: "kim",
    password: "correct horse",
    scope: "openid read:organizations write:organizations",
  });
  const { body } = await control.call("GET", INVITATIONS, tokens.access_token);
  assert.deepEqual(body.map(({ id }: { id: string }) => id), [id]);
  // Users without an address do not share the empty one.
  await control.store.db.updateTable("users").set({ email: "" }).execute();
  assert.deepEqual((await control.call("GET", INVITATIONS, tokens.access_token)).body, []);
});

Deno.test("either side deletes an invitation, others do not see it", async () => {
  await using people = await People.start();
  const [sol, mel, eve] = await Promise.all(["sol", "mel", "eve"].map((n) => people.person(n)));
  for (const person of [sol!, mel!]) {
    const { id } = await invite(sol!, { user_id: mel!.id, email: "" });
    await eve!.refused(404, notFound("invitation"), "GET", `${INVITATIONS}/${id}`);
    await eve!.refused(404, notFound("invitation"), "DELETE", `${INVITATIONS}/${id}`);
    assert.equal((await person.expect(200, "GET", `${INVITATIONS}/${id}`)).id, id);
    await person.expect(204, "DELETE", `${INVITATIONS}/${id}`);
    await person.refused(404, notFound("invitation"), "DELETE", `${INVITATIONS}/${id}`);
  }
});

Deno.test("invitations are refused to others than owners, for members, twice, and without sense", async () => {
  await using people = await People.start();
  const [sol, mel, eve] = await Promise.all(["sol", "mel", "eve"].map((n) => people.person(n)));
  await people.join(mel!, sol!);
  const refused = async (status: number, expected: unknown, body: object, from = sol!) =>
    await from.refused(status, expected, "POST", INVITATIONS, {
      organization_id: sol!.id,
      ...body,
    });
  await refused(404, notFound("organization"), { user_id: eve!.id }, mel);
  await refused(404, notFound("organization"), { user_id: eve!.id }, eve);
  const member = { error: "invalid data in field", field: "organization" };
  await refused(400, member, { user_id: mel!.id });
  await refused(400, member, { email: "mel@control.test" });
  await refused(404, notFound("user"), { user_id: crypto.randomUUID() });
  const missing = (field: string) => ({ error: "field not present", field });
  await refused(400, missing("email or user_id"), { user_id: "", email: "" });
  const both = { user_id: eve!.id, email: "eve@control.test" };
  await refused(400, missing("both email and user_id present"), both);
  await refused(400, missing("organization_id"), { organization_id: "", user_id: eve!.id });
  for (const email of ["eve", "e v@e", "@", "a@b@c"]) {
    const { status, body } = await sol!.call("POST", INVITATIONS, {
      organization_id: sol!.id,
      email,
    });
    assert.deepEqual([status, body.field], [400, "email"], email);
  }
  const role = await sol!.call("POST", INVITATIONS, {
    organization_id: sol!.id,
    user_id: eve!.id,
    roles: ["king"],
  });
  assert.deepEqual([role.status, role.body.field], [400, "roles"]);
  assert.deepEqual(await sol!.expect(200, "GET", INVITATIONS), [], "nothing was stored");
  const { id } = await invite(sol!, { user_id: eve!.id });
  const waiting = { id, error: "resource already exists" };
  await refused(409, waiting, { user_id: eve!.id });
  await refused(409, waiting, { email: "EVE@control.test" });
});

Deno.test("an invitation that has expired is as good as none, and another can be made", async () => {
  await using people = await People.start();
  const [sol, mel] = [await people.person("sol"), await people.person("mel")];
  const { id } = await invite(sol, { user_id: mel.id });
  await people.control.store.db.updateTable("invitations")
    .set({ expires_at: new Date(Date.now() - 1).toISOString() }).execute();
  for (const person of [sol, mel]) {
    assert.deepEqual(await person.expect(200, "GET", INVITATIONS), []);
  }
  await mel.refused(404, notFound("invitation"), "POST", `${INVITATIONS}/${id}/accept`);
  assert.notEqual((await invite(sol, { user_id: mel.id })).id, id);
});
