import assert from "node:assert/strict";
import { notAllowed, notFound, People } from "./people.ts";

const USERS = "/api/users";

Deno.test("users see themselves and nobody else", async () => {
  await using people = await People.start();
  const [sol, mel] = [await people.person("sol"), await people.person("mel")];
  const me = await sol.expect(200, "GET", `${USERS}/me`);
  assert.deepEqual(me, { id: sol.id, full_name: "", picture: "", username: "sol" });
  assert.deepEqual(await sol.expect(200, "GET", USERS), [me]);
  assert.deepEqual(await sol.expect(200, "GET", `${USERS}/${sol.id}`), me);
  for (const method of ["GET", "DELETE"]) {
    await mel.refused(404, notFound("user"), method, `${USERS}/${sol.id}`);
  }
  const zero = "00000000-0000-0000-0000-000000000000";
  await mel.refused(404, notFound("user"), "GET", `${USERS}/${zero}`);
  await people.join(mel, sol);
  await mel.refused(404, notFound("user"), "GET", `${USERS}/${sol.id}`);
});

Deno.test("a user goes with its keys, its invitations and what only it owned", async () => {
  await using people = await People.start();
  const [sol, mel] = [await people.person("sol"), await people.person("mel")];
  const { control } = people;
  const own = await sol.expect(201, "POST", "/api/organizations", { name: "own" });
  const shared = await sol.expect(201, "POST", "/api/organizations", { name: "shared" });
  const asOwner = { organization_id: shared.id, user_id: mel.id, roles: ["owner"] };
  const invitation = await sol.expect(201, "POST", "/api/invitations", asOwner);
  await mel.expect(204, "POST", `/api/invitations/${invitation.id}/accept`);
  await sol.expect(201, "POST", "/api/invitations", { organization_id: own.id, user_id: mel.id });
  await mel.expect(201, "POST", "/api/invitations", { organization_id: mel.id, user_id: sol.id });
  const key = await sol.expect(201, "POST", "/api/reg-keys", { vpc_id: sol.id });
  const { device } = await control.register({ vpc_id: sol.id }, key.bearer_token);
  const attached = notAllowed(
    "user cannot be deleted while devices owned by the user are still attached",
  );
  await sol.refused(400, attached, "DELETE", `${USERS}/${sol.id}`);
  await sol.expect(200, "DELETE", `/api/devices/${device.id}`);

  // A device of another member in an organization that would go keeps it as well.
  await people.join(mel, sol);
  const guest = await control.register({ vpc_id: sol.id }, mel.token);
  const others = notAllowed(
    "organization cannot be deleted while devices are still attached to its vpcs",
  );
  await sol.refused(400, others, "DELETE", `${USERS}/${sol.id}`);
  await mel.expect(200, "DELETE", `/api/devices/${guest.device.id}`);

  assert.equal((await sol.expect(200, "DELETE", `${USERS}/${sol.id}`)).id, sol.id);
  await sol.refused(404, notFound("user"), "GET", `${USERS}/me`);
  assert.equal((await control.call("GET", "/api/reg-keys/me", key.bearer_token)).status, 401);
  assert.deepEqual(await mel.expect(200, "GET", "/api/invitations"), []);
  const left = await mel.expect(200, "GET", "/api/organizations");
  assert.deepEqual(left.map(({ name }: { name: string }) => name), ["mel", "shared"]);
  // All the names are free.
  const again = await people.person("sol");
  assert.deepEqual(await again.expect(200, "GET", "/api/organizations"), [
    { id: again.id, name: "sol", description: "sol's organization" },
  ]);
  await again.expect(201, "POST", "/api/organizations", { name: "own" });
});

Deno.test("what was deleted long ago is removed, on the operator's word or by itself", async () => {
  await using people = await People.start();
  const [sol, mel] = [await people.person("sol"), await people.person("mel")];
  const { control } = people;
  const key = await sol.expect(201, "POST", "/api/reg-keys", { vpc_id: sol.id });
  const gone = await control.register({ vpc_id: sol.id }, key.bearer_token);
  const kept = await control.register({ vpc_id: mel.id }, mel.token);
  const metadata = `/api/devices/${gone.device.id}/metadata/k`;
  await sol.expect(200, "PUT", metadata, {});
  const other = await sol.expect(201, "POST", "/api/vpcs", { organization_id: sol.id });
  await sol.expect(200, "PATCH", `/api/devices/${gone.device.id}`, { vpc_id: other.id });
  await sol.expect(200, "DELETE", `/api/devices/${gone.device.id}`);
  await sol.expect(200, "DELETE", `${USERS}/${sol.id}`);
  const clean = async (retention: string, from = "127.0.0.1", headers = {}) => {
    const url = `https://control.test/private/gc?retention=${retention}`;
    const remoteAddr = { transport: "tcp", hostname: from, port: 1 } as const;
    return (await control.app.request(url, { headers }, { remoteAddr })).status;
  };
  const rows = async (table: "users" | "devices" | "vpcs" | "device_metadata" | "reg_keys") =>
    (await control.store.db.selectFrom(table).selectAll().execute()).length;
  const count = async () => [
    await rows("users"),
    await rows("devices"),
    await rows("vpcs"),
    await rows("device_metadata"),
    await rows("reg_keys"),
  ];
  const before = await count();
  assert.equal(await clean("24h"), 204);
  assert.deepEqual(await count(), before, "nothing is a day old");
  assert.equal(await clean("0s", "192.0.2.1"), 404);
  assert.equal(await clean("0s", "127.0.0.1", { "x-forwarded-for": "192.0.2.1" }), 404);
  for (const bad of ["", "1", "1y", "-1h", "9".repeat(30) + "h"]) {
    assert.equal(await clean(bad), 400, bad);
  }
  await new Promise((resolve) => setTimeout(resolve, 2));
  assert.equal(await clean("0s", "::1"), 204);
  // The first user of the tests, with its key, and mel with a device are left.
  assert.deepEqual(await count(), [2, 1, 2, 0, 1]);
  assert.equal((await mel.expect(200, "GET", "/api/devices"))[0].id, kept.device.id);
});
