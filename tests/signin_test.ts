import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { BY_PASSWORD, letIn, SERVICE, USER_ENV } from "./sign_in.ts";

async function until<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined>,
): Promise<T> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not happen within ${timeoutMs} ms`);
}

Deno.test("hosts of a user join by password and by a link, meet, restart, and join again when deleted", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "cone" });
  const mesh = new Mesh(lab, {
    agents: ["a", "b"],
    env: USER_ENV,
    hosts: { a: { signIn: BY_PASSWORD }, b: { signIn: SERVICE, args: ["--json"] } },
  });
  await Promise.all([mesh.startControl(), mesh.startRelay()]);
  const started = Promise.all([mesh.startAgent("a"), mesh.startAgent("b")]);
  const login = await until("asking for a sign-in", 20_000, async () => {
    const status = await mesh.status("b").catch(() => undefined);
    if (status?.login === undefined) return undefined;
    equal(status.status, "WaitingForAuth");
    return status.login;
  });
  match(login.url, /^https:\/\/auth\.control\/device\?user_code=/);
  ok(login.url.endsWith(login.code!));
  const text = await mesh.statusText("b");
  ok(text.includes("WaitingForAuth") && text.includes(login.url), text);
  const event = JSON.parse(await mesh.parts.get("b")!.waitFor(/"event":"login"/, 1_000));
  deepEqual([event.url, event.code], [login.url, login.code]);
  // A restart goes on with the code that the person may be looking at.
  await mesh.kill("b", "SIGTERM");
  await started.catch(() => {});
  const again = mesh.startAgent("b");
  await until("the same code", 20_000, async () => {
    const status = await mesh.status("b").catch(() => undefined);
    return status?.login?.code === login.code ? true : undefined;
  });
  await letIn(lab, login.url);
  await again;
  await mesh.waitForPath("a", "b", ["reflexive", "via-derp-relay"], 20_000);
  equal((await mesh.ping("a", "b", { count: 5 })).received, 5);

  const file = `${lab.dir}/b/state.json`;
  const state = JSON.parse(Deno.readTextFileSync(file));
  equal(Deno.statSync(file).mode! & 0o777, 0o600);
  deepEqual(Object.keys(state["auth-token"]).sort(), [
    "access_token",
    "expiry",
    "refresh_token",
    "token_type",
  ]);
  match(state["device-token"], /^DT:/);
  equal(state.login, undefined);

  // Both come back without a person, and as who they were.
  const before = await mesh.tunnelIp("b");
  await mesh.restart("b", "SIGTERM");
  equal(await mesh.tunnelIp("b"), before);
  equal((await mesh.status("b")).login, undefined);
  await until(
    "a connection",
    10_000,
    async () => (await mesh.status("b")).control.state === "connected" ? true : undefined,
  );

  // Deleted at the control plane it signs in anew with the session it has, as a new device.
  const script = `const [url, token, ca] = Deno.args;
    const client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(ca)] });
    const headers = { authorization: "Bearer " + token };
    console.log((await fetch(url, { method: "DELETE", headers, client })).status);`;
  const { stdout } = await lab.host("b").run([
    ...[Deno.execPath(), "eval", script, `https://api.control/api/devices/${state["device-id"]}`],
    ...[state["device-token"], `${lab.dir}/control/certs/ca.crt`],
  ], { env: { NO_COLOR: "1" } });
  equal(stdout, "200\n");
  const renewed = await until("a new device", 20_000, () => {
    const now = JSON.parse(Deno.readTextFileSync(file));
    return Promise.resolve(now["device-id"] === state["device-id"] ? undefined : now);
  });
  notEqual(renewed["device-token"], state["device-token"]);
  equal(renewed["public-key"], state["public-key"]);
});
