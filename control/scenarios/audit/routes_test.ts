/** That every route that changes something leaves a row in the audit log. */
import assert from "node:assert/strict";
import { type Answer, TestControl } from "../../testing.ts";
import { addRelay, CLIENT, signIn } from "./calls.ts";
import { CALLS } from "../access/routes.ts";
import { type Caller, World } from "../access/world.ts";

/** Routes that leave no row, and why. */
const WITHOUT: Record<string, string> = {
  "POST /api/events": "reads",
  "POST /api/vpcs/{id}/events": "reads",
  "POST /api/vpc/{id}/events": "reads",
  "POST /api/sites": "a feature that is off",
  "PATCH /api/sites/{id}": "a feature that is off",
  "DELETE /api/sites/{id}": "a feature that is off",
  "POST /api/ca/sign": "a feature that is off",
  "PUT /api/devices/{id}/paths": "what agents measure, again and again",
  "POST /device/login/start": "tells where to sign in",
  "POST /oauth/device_authorization": "a question of a stranger; its answer is recorded",
  "POST /oauth/authorize": "a code for a minute; the session that comes of it is recorded",
};

/** Calls of routes that nobody of the table gets through, or that are no part of it. */
const SPECIAL: Record<string, (world: World) => Promise<Answer>> = {
  "DELETE /api/users/{id}": async ({ control }) => {
    const id = await control.addUser("leaver", "user-leaver");
    return await control.call("DELETE", `/api/users/${id}`, "user-leaver");
  },
  "DELETE /api/organizations/{id}": async (world) => {
    const made = await world.call("owner", "POST", "/api/organizations", { name: "short-lived" });
    return await world.call("owner", "DELETE", `/api/organizations/${made.body.id}`);
  },
  "POST /api/invitations/{id}/accept": async ({ control, targets }) =>
    await control.call("POST", `/api/invitations/${targets.invitation}/accept`, "user-guest"),
  "DELETE /api/vpcs/{id}": async (world) => {
    const organization_id = world.targets.organization;
    const made = await world.call("owner", "POST", "/api/vpcs", { organization_id });
    return await world.call("owner", "DELETE", `/api/vpcs/${made.body.id}`);
  },
  "POST /api/relay-regions": async ({ control }) => (await addRelay(control)).answer,
  "PATCH /api/relay-regions/{id}": async ({ control }) => {
    const { path } = await addRelay(control);
    return await control.call("PATCH", path, "user-operator", { drained: true });
  },
  "DELETE /api/relay-regions/{id}": async ({ control }) => {
    const { path } = await addRelay(control);
    return await control.call("DELETE", path, "user-operator");
  },
  "POST /api/accounts/{id}/password": async (world) =>
    await world.call("operator", "POST", `/api/accounts/${world.targets.account}/password`, {}),
  "POST /invitation": async (world) => {
    const { organization: organization_id } = world.targets;
    const body = { organization_id, email: "somebody@control.test" };
    const { link } = (await world.call("owner", "POST", "/api/invitations", body)).body;
    const code = new URL(link).searchParams.get("code")!;
    const password = "correct horse";
    return await world.control.form("/invitation", {
      ...{ code, username: "invited-one", password, again: password, action: "new" },
    });
  },
  "POST /oauth/token": async ({ control }) => await signIn(control),
  "POST /oauth/revoke": async ({ control }) => {
    const { refresh_token: token } = (await signIn(control)).body;
    return await control.form("/oauth/revoke", { ...CLIENT, token });
  },
  "POST /device": async ({ control }) => {
    await control.addAccount("zoe", "correct horse");
    const asked = await control.form("/oauth/device_authorization", CLIENT);
    return await control.form("/device", {
      user_code: asked.body.user_code,
      username: "zoe",
      password: "correct horse",
      action: "allow",
    });
  },
};

/** Every route that is not for reading, by method and path as documents have it. */
function changing(control: TestControl): string[] {
  return [
    ...new Set(
      control.app.routes.filter(({ method }) => !["ALL", "GET"].includes(method))
        .map(({ method, path }) => `${method} ${path.replaceAll(/:([\w-]+)/g, "{$1}")}`),
    ),
  ];
}

/** Who of the callers gets through on a route, with the answer. */
async function through(route: string): Promise<{ world: World; answer: Answer } | undefined> {
  const { params, body } = CALLS[route]!;
  const [method, template] = route.split(" ") as [string, string];
  for (const caller of ["owner", "operator", "device", "key"] satisfies Caller[]) {
    const world = await World.start();
    const values = params?.(world.targets) ?? [];
    const path = template.replaceAll(/\{[\w-]+\}/g, () => encodeURIComponent(values.shift()!));
    const answer = await world.call(caller, method, path, body?.(world));
    if (answer.status < 400) return { world, answer };
    await world[Symbol.asyncDispose]();
  }
  return undefined;
}

Deno.test("every route that changes something leaves a row of the request in the audit log", async () => {
  const silent: string[] = [];
  const routes = await withControl(changing);
  for (const route of routes.filter((route) => !(route in WITHOUT))) {
    let done: { world: World; answer: Answer } | undefined;
    if (route in SPECIAL) {
      const world = await World.start();
      done = { world, answer: await SPECIAL[route]!(world) };
    } else if (route in CALLS) done = await through(route);
    const status = done?.answer.status ?? 404;
    // A new route without a call comes here, too.
    if (!done || status >= 400) silent.push(`${route}: nobody gets through (${status})`);
    else {
      const rows = await done.world.control.store.db.selectFrom("audit_log").selectAll()
        .where("request_id", "=", done.answer.headers.get("x-request-id")!).execute();
      const good = rows.some((row) => row.outcome === "done" && row.actor_id !== "");
      if (!good) silent.push(`${route}: no row`);
    }
    await done?.world[Symbol.asyncDispose]();
  }
  assert.deepEqual(silent, []);
  const gone = Object.keys({ ...WITHOUT, ...SPECIAL }).filter((route) => !routes.includes(route));
  assert.deepEqual(gone, [], "routes that there are no more");
});

async function withControl<T>(read: (control: TestControl) => T): Promise<T> {
  await using control = await TestControl.start();
  return read(control);
}
