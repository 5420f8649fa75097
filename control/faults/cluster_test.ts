import assert from "node:assert/strict";
import { type Postgres, startPostgres } from "../../scripts/lab/postgres.ts";
import { skip } from "../../scripts/lab/support.ts";
import type { Device } from "../api/types.ts";
import { openToken } from "../auth/mod.ts";
import { type ControlService, openControl } from "../service.ts";
import { newKey, QUICK, TestStream } from "../testing.ts";

const ADMIN = { username: "ada", password: "a password of ada" };
const FROM: Deno.NetAddr = { transport: "tcp", hostname: "192.0.2.1", port: 1 };

/** A control plane with a state directory of its own, on a database that others share. */
class Member {
  private constructor(readonly service: ControlService, readonly dir: string) {}

  static async open(url: string): Promise<Member> {
    const dir = await Deno.makeTempDir({ prefix: "nexd-control-" });
    const service = await openControl({
      hostname: "control.test",
      port: () => 443,
      stateDir: dir,
      databaseUrl: url,
      admin: { ...ADMIN, cost: QUICK },
      hold: { delayMs: [0, 0] },
      online: { graceMs: 50, startGraceMs: 500 },
    });
    return new Member(service, dir);
  }

  async fetch(method: string, path: string, bearer?: string, body?: unknown): Promise<Response> {
    const form = body instanceof URLSearchParams;
    const host = path.startsWith("/api") || path.startsWith("/private") ? "api" : "auth";
    const request = new Request(`https://${host}.control.test${path}`, {
      method,
      ...(bearer === undefined ? {} : { headers: { authorization: `Bearer ${bearer}` } }),
      ...(body === undefined ? {} : { body: form ? body : JSON.stringify(body) }),
    });
    return await this.service.fetch(request, FROM);
  }

  // deno-lint-ignore no-explicit-any
  async call(...args: Parameters<Member["fetch"]>): Promise<{ status: number; body: any }> {
    const response = await this.fetch(...args);
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
  }

  async watch(bearer: string, vpcId: string): Promise<TestStream> {
    const watches = [{ kind: "device", options: { "vpc-id": vpcId } }];
    const stream = new TestStream(await this.fetch("POST", "/api/events", bearer, watches));
    await stream.untilTails();
    return stream;
  }

  async close(): Promise<void> {
    await this.service.close();
    await Deno.remove(this.dir, { recursive: true });
  }
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const start = Date.now(); !await condition();) {
    assert.ok(Date.now() - start < 15_000, `waited too long until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

Deno.test("two control planes on one PostgreSQL are one to their clients", async (t) => {
  let postgres: Postgres;
  try {
    postgres = await startPostgres();
  } catch (error) {
    return skip((error as Error).message);
  }
  const [a, b] = await Promise.all([Member.open(postgres.url), Member.open(postgres.url)]);
  try {
    const first = await Promise.all([a.service.bootstrap(), b.service.bootstrap()]);
    assert.equal(first.filter((one) => one.first).length, 1, "one of them made the user");
    const { userId, regKey } = first.find((one) => one.first)!;
    let own: Device;
    let token = "";

    await t.step("each takes what the other gave out", async () => {
      const signedIn = await a.call(
        "POST",
        "/oauth/token",
        undefined,
        new URLSearchParams({
          grant_type: "password",
          client_id: "nexodus-cli",
          scope: "openid read:users",
          ...ADMIN,
        }),
      );
      assert.equal(signedIn.status, 200, JSON.stringify(signedIn.body));
      const me = await b.call("GET", "/api/users/me", signedIn.body.access_token);
      assert.equal(me.body.id, userId);
      const public_key = newKey();
      const made = await b.call("POST", "/api/devices", regKey, { vpc_id: userId, public_key });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      own = made.body;
      token = openToken(made.body.bearer_token, public_key);
      assert.equal((await a.call("GET", `/api/devices/${own.id}`, token)).status, 200);
    });

    await t.step("a watcher of one hears of what the other does", async () => {
      const stream = await a.watch(token, userId);
      await b.call("PATCH", `/api/devices/${own.id}`, regKey, { hostname: "renamed" });
      const event = await stream.next();
      assert.deepEqual([event.type, (event as { value: Device }).value.hostname], [
        "change",
        "renamed",
      ]);
      await stream.close();
    });

    await t.step("a stream of one ends when the other takes its caller away", async () => {
      const public_key = newKey();
      const made = await a.call("POST", "/api/devices", regKey, { vpc_id: userId, public_key });
      const leaving = openToken(made.body.bearer_token, public_key);
      const [its, others] = [await a.watch(leaving, userId), await a.watch(token, userId)];
      assert.equal((await b.call("DELETE", `/api/devices/${made.body.id}`, leaving)).status, 200);
      await assert.rejects(async () => {
        for (;;) await its.next();
      }, /ended|cut/i);
      const event = await others.next();
      assert.deepEqual([event.kind, event.type], ["device", "delete"]);
      await others.close();
    });

    await t.step("a device goes offline when its control plane dies", async () => {
      const c = await Member.open(postgres.url);
      const stream = await c.watch(token, userId);
      const isOnline = async () =>
        (await a.call("GET", `/api/devices/${own.id}`, token)).body.online as boolean;
      assert.equal(await isOnline(), true);
      await c.close(); // says nothing to the database
      await stream.close();
      await until("it is offline", async () => !await isOnline());
    });

    await t.step(
      "without the database requests are a 503 with a reason, and then go on",
      async () => {
        const stream = await a.watch(token, userId);
        await postgres.kill();
        const body = { vpc_id: userId, public_key: newKey() };
        const refused = await a.call("POST", "/api/devices", regKey, body);
        assert.equal(refused.status, 503);
        assert.match(refused.body.reason, /^the database (cannot be reached|has been shut down)/);
        assert.equal((await a.call("GET", "/private/ready")).status, 503);
        assert.equal((await a.call("GET", "/private/live")).status, 200);
        await postgres.start();
        await until(
          "it answers",
          async () => (await a.call("GET", "/private/ready")).status === 200,
        );
        await until("both write", async () => {
          const answers = await Promise.all(
            [a, b].map((member) =>
              member.call("POST", "/api/devices", regKey, { vpc_id: userId, public_key: newKey() })
            ),
          );
          return answers.every(({ status }) => status === 201);
        });
        // The stream lived through it.
        assert.equal((await stream.next()).type, "change");
        await stream.close();
      },
    );
  } finally {
    await Promise.all([a.close(), b.close()]);
    await postgres.stop();
  }
});
