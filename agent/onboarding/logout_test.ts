import assert from "node:assert/strict";
import { TestControl } from "../../control/testing.ts";
import { ApiClient } from "../api/mod.ts";
import { AgentError } from "../errors.ts";
import { lockFile } from "../platform/mod.ts";
import { logout, type LogoutResult, Registrar, StateStore } from "./mod.ts";

const PASSWORD = "correct horse";
const ORIGIN = "https://api.control.test";

/** A host that is a device of a user, and what stands between it and the control plane. */
class Member implements AsyncDisposable {
  dir = "";
  deviceId = "";
  /** Answers instead of the control plane. */
  intercept: (method: string, path: string, bearer: string) => Response | undefined = () =>
    undefined;

  private constructor(readonly control: TestControl) {}

  static async join(): Promise<Member> {
    const control = await TestControl.start();
    await control.addAccount("bob", PASSWORD);
    const member = new Member(control);
    member.dir = await Deno.makeTempDir();
    const store = await StateStore.open(member.dir);
    const apiUrl = new URL(ORIGIN);
    const registrar = new Registrar({
      api: member.api(),
      join: {
        serviceUrl: apiUrl,
        apiUrl,
        credential: { kind: "password", username: "bob", password: PASSWORD },
      },
      hostname: "h",
      state: store.state,
      remember: (change) => void store.update(change),
    });
    const { publicKey } = store.state;
    const self = { publicKey, hostname: "h", symmetricNat: false, endpoints: [] };
    const { device } = await registrar.register(self, new AbortController().signal);
    member.deviceId = device.id;
    await store.save();
    for (
      const name of [
        "cache.json",
        "state.json.corrupt-20260101T000000Z",
        ".state.json.0123456789ab",
        "nexd.lock",
        "other",
      ]
    ) {
      await Deno.writeTextFile(`${member.dir}/${name}`, "");
    }
    return member;
  }

  api(): ApiClient {
    return new ApiClient({
      apiUrl: new URL(ORIGIN),
      transport: {
        send: async (url, { method, headers, body }) =>
          this.intercept(method, url.pathname, headers.authorization ?? "") ??
            await this.control.app.request(url, {
              method,
              headers,
              ...(body === undefined ? {} : { body }),
            }),
        close: () => {},
      },
    });
  }

  logout(): Promise<LogoutResult> {
    return logout({
      stateDir: this.dir,
      api: (origin) => {
        assert.equal(origin, ORIGIN);
        return this.api();
      },
    });
  }

  files(): string[] {
    return [...Deno.readDirSync(this.dir)].map(({ name }) => name).sort();
  }

  async devices(): Promise<number> {
    const rows = await this.control.store.db.selectFrom("devices").select("id")
      .where("deleted_at", "is", null).execute();
    return rows.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.control[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }
}

Deno.test("logout deletes the device, ends the session, and leaves nothing secret; again it does nothing", async () => {
  await using member = await Member.join();
  const { authToken } = (await StateStore.open(member.dir)).state;
  const result = await member.logout();
  assert.deepEqual(result, {
    deviceId: member.deviceId,
    deleted: true,
    sessionEnded: true,
    removed: [
      ".state.json.0123456789ab",
      "cache.json",
      "state.json",
      "state.json.corrupt-20260101T000000Z",
    ]
      .map((name) => `${member.dir}/${name}`),
  });
  assert.deepEqual(member.files(), ["nexd.lock", "other"]);
  assert.equal(await member.devices(), 0);
  const me = await member.control.call("GET", "/api/users/me", authToken!.accessToken);
  assert.equal(me.status, 401);
  const nothing = { deleted: false, sessionEnded: false, removed: [] };
  assert.deepEqual(await member.logout(), nothing);
  assert.deepEqual(
    await logout({ stateDir: "/nonexistent/nexd", api: () => member.api() }),
    nothing,
  );
});

Deno.test("logout deletes as the user where a device may not, and says when nobody may", async () => {
  // Nexodus' server lets no device token delete.
  const stock = (method: string, _path: string, bearer: string) =>
    method === "DELETE" && bearer.startsWith("Bearer DT:")
      ? new Response(null, { status: 403 })
      : undefined;
  await using member = await Member.join();
  member.intercept = stock;
  assert.equal((await member.logout()).deleted, true);
  assert.equal(await member.devices(), 0);
  await using other = await Member.join();
  other.intercept = (method) =>
    method === "DELETE" ? new Response(null, { status: 403 }) : undefined;
  const { deleted, reason } = await other.logout();
  assert.equal(deleted, false);
  assert.match(
    reason!,
    new RegExp(`does not let this host delete it; delete device ${other.deviceId}`),
  );
  assert.deepEqual(other.files(), ["nexd.lock", "other"]);
});

Deno.test("logout takes the secrets away when the control plane is away or knows the device no more", async () => {
  await using away = await Member.join();
  away.intercept = () => new Response("", { status: 503 });
  const result = await away.logout();
  assert.deepEqual([result.deleted, result.sessionEnded], [false, false]);
  assert.match(result.reason!, /answered 503 .*; delete device/);
  assert.deepEqual(away.files(), ["nexd.lock", "other"]);
  await using gone = await Member.join();
  await gone.control.store.db.updateTable("devices")
    .set({ deleted_at: "now", token_hash: "" }).execute();
  assert.equal((await gone.logout()).deleted, true);
});

Deno.test("logout shows tokens to nobody when it cannot tell whose they are", async () => {
  await using member = await Member.join();
  const store = await StateStore.open(member.dir);
  await store.update({ api: undefined });
  const { deleted, reason } = await logout({
    stateDir: member.dir,
    api: () => assert.fail("nothing is to be asked"),
  });
  assert.equal(deleted, false);
  assert.match(reason!, /delete this host's device there/);
  assert.deepEqual(member.files(), ["nexd.lock", "other"]);
});

Deno.test("logout leaves a running agent alone", async () => {
  await using member = await Member.join();
  const lock = await lockFile(`${member.dir}/nexd.lock`);
  try {
    await assert.rejects(
      member.logout(),
      (error) =>
        error instanceof AgentError && /nexd is running on .*stop it first/.test(error.message),
    );
    assert.ok(member.files().includes("state.json"));
  } finally {
    lock.release();
  }
});
