/** Flows that sign in: our issuer in place of the recorded one, at addresses of its own. */
import assert from "node:assert/strict";
import type { Device } from "../api/types.ts";
import { comparable, type Exchange, flow, Replay } from "./replay.ts";

const PASSWORD = "floofykittens";
const KEYCLOAK = "/realms/nexodus";
/** Recorded addresses of the issuer, and ours. */
const ENDPOINTS: Readonly<Record<string, string>> = {
  [`${KEYCLOAK}/.well-known/openid-configuration`]: "/.well-known/openid-configuration",
  [`${KEYCLOAK}/protocol/openid-connect/token`]: "/oauth/token",
  [`${KEYCLOAK}/protocol/openid-connect/certs`]: "/oauth/keys",
  [`${KEYCLOAK}/protocol/openid-connect/auth/device`]: "/oauth/device_authorization",
};
/** What only the recorded issuer says, and nobody reads. */
const THEIRS = new Set([
  "userinfo_endpoint",
  "end_session_endpoint",
  "refresh_expires_in",
  "not-before-policy",
  "session_state",
  "error_description",
]);

/** A client that signs in as an account. */
class Client {
  now = Date.now();
  #device: Device | undefined;
  #userCode = "";

  private constructor(readonly replay: Replay, readonly username: string) {}

  static async start(username: string, fullName: string): Promise<Client> {
    const clock = { now: () => Date.now() };
    const replay = await Replay.start([], { now: () => clock.now() });
    const id = await replay.control.addAccount(username, PASSWORD);
    await replay.store.db.updateTable("accounts").set({ full_name: fullName }).where("id", "=", id)
      .execute();
    const client = new Client(replay, username);
    clock.now = () => client.now;
    return client;
  }

  async send(exchange: Exchange): Promise<void> {
    const { hostname, pathname } = new URL(exchange.url);
    if (hostname.startsWith("auth.")) return await this.#issuer(exchange, pathname);
    const { replay } = this;
    if (pathname === "/device/login/start") {
      const { status, body } = await replay.control.call("POST", pathname);
      assert.deepEqual([status, Object.keys(body).sort()], [
        200,
        Object.keys(exchange.response_body).sort(),
      ]);
    } else if (exchange.stream) {
      replay.learnToken(exchange, this.#device!);
      const watches = exchange.request_body as { kind: string }[];
      const stream = await replay.control.watch(
        replay.bearer(exchange)!,
        JSON.parse(replay.ours(JSON.stringify(watches))),
      );
      const got = await stream.untilTails(watches.length);
      assert.ok(got.some((e) => e.kind === "device" && e.type === "change" && e.value.online));
    } else {
      const { status, body } = await replay.send(exchange);
      assert.equal(status, exchange.status, JSON.stringify(body));
      const mine = body as Device & { username?: string };
      if (mine.username) replay.names.set(exchange.response_body.id, mine.id);
      if (mine.public_key) this.#device = mine;
      const { allowed_ips, ipv4_tunnel_ips, ipv6_tunnel_ips, online } = mine;
      // There other devices had taken the first addresses.
      const given = { allowed_ips, ipv4_tunnel_ips, ipv6_tunnel_ips, online, online_at: null };
      const theirs = { ...exchange.response_body, ...(mine.public_key ? given : {}) };
      assert.deepEqual(
        comparable(mine.public_key ? { ...mine, online_at: null } : mine),
        replay.expected(theirs),
      );
    }
  }

  async #issuer(exchange: Exchange, pathname: string): Promise<void> {
    const path = ENDPOINTS[pathname]!;
    const { control } = this.replay;
    const headers: Record<string, string> = {};
    const basic = exchange.request_headers["authorization"];
    if (basic) headers["authorization"] = basic;
    const fields = Object.fromEntries(new URLSearchParams(String(exchange.request_body ?? "")));
    if (fields.device_code) {
      this.now += 6_000;
      fields.device_code = this.replay.names.get(fields.device_code)!;
      // Between two questions of the host a person lets it in.
      if (exchange.status === 200) await this.#letIn();
    }
    const { status, body } = exchange.method === "GET"
      ? await control.call("GET", path)
      : await control.form(path, fields, { headers });
    // Ours takes the client's first try, where the recorded one made it ask in another way.
    if (basic) return assert.equal(status, 200);
    assert.equal(status, exchange.status, JSON.stringify(body));
    const expected = Object.keys(exchange.response_body).filter((name) => !THEIRS.has(name));
    assert.deepEqual(expected.filter((name) => !(name in body)), [], exchange.url);
    if (exchange.status !== 200) assert.equal(body.error, exchange.response_body.error);
    if (body.access_token) this.replay.as = body.access_token;
    if (body.device_code) {
      this.replay.names.set(exchange.response_body.device_code, body.device_code);
      this.#userCode = body.user_code;
    }
  }

  async #letIn(): Promise<void> {
    const { status } = await this.replay.control.form("/device", {
      user_code: this.#userCode,
      username: this.username,
      password: PASSWORD,
      action: "allow",
    });
    assert.equal(status, 200);
  }
}

Deno.test("an agent of a new user signs in by password and onboards as recorded", async () => {
  const client = await Client.start("kitteh1", "Kitteh1 Lab");
  await using _control = client.replay.control;
  for (const exchange of flow("agent-password-onboarding")) await client.send(exchange);
});

Deno.test("an agent without credentials signs in by a link and onboards as recorded", async () => {
  const client = await Client.start("kitteh1", "Kitteh1 Lab");
  await using _control = client.replay.control;
  for (const exchange of flow("agent-device-code-onboarding")) {
    // The last one is another agent, which resumes its stream.
    if (
      !exchange.stream || exchange.request_body && !JSON.stringify(exchange).includes("at_tail")
    ) {
      await client.send(exchange);
    }
  }
});

Deno.test("an agent that kept its session needs no token when it restarts, as recorded", async () => {
  const client = await Client.start("penny", "Penny Lab");
  await using _control = client.replay.control;
  const form = { client_id: "nexodus-cli", grant_type: "password", password: PASSWORD };
  const scope = "openid read:users read:organizations read:devices write:devices";
  const { body } = await client.replay.control.form("/oauth/token", {
    ...form,
    username: "penny",
    scope,
  });
  client.replay.as = body.access_token;
  const exchanges = flow("agent-restart-stored-token");
  const find = (method: string, path: string) =>
    exchanges.find((e) => e.method === method && new URL(e.url).pathname.startsWith(path))!;
  await client.send(find("GET", "/api/users/me"));
  // Its device, as an earlier start made it.
  const registered = find("POST", "/api/devices");
  const made = { ...registered, status: 201, response_body: find("PATCH", "/").response_body };
  await client.send(made);
  for (const exchange of exchanges) await client.send(exchange);
});

Deno.test("the administration tool signs in as recorded before each command", async () => {
  const client = await Client.start("admin", "Admin Lab");
  await using _control = client.replay.control;
  for (const exchange of flow("nexctl-login")) await client.send(exchange);
});

Deno.test("a server that has just made its tables serves a new user at once", async () => {
  // Weakness 49: the recorded one answered 500 until it was restarted.
  const client = await Client.start("kitteh1", "Kitteh1 Lab");
  await using _control = client.replay.control;
  const exchanges = flow("new-user-first-boot-500");
  assert.ok(exchanges.slice(1).every(({ status }) => status === 500));
  await client.send(flow("agent-password-onboarding")[3]!);
  const me = { ...exchanges[1]!, status: 200 };
  const { status } = await client.replay.send({ ...me, response_body: {} });
  assert.equal(status, 200);
});
