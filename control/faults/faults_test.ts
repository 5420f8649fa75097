/** What happens when the database cannot be written, and when the clock is set. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { sql } from "kysely";
import { skip } from "../../scripts/lab/support.ts";
import { type ControlService, openControl } from "../service.ts";
import { newKey, QUICK, TestControl } from "../testing.ts";
import { Attempts } from "../users/attempts.ts";

const FROM: Deno.NetAddr = { transport: "tcp", hostname: "192.0.2.1", port: 1 };

/** A control plane whose database is a file in `dir`. */
async function withService(
  dir: string,
  test: (
    register: () => Promise<{ status: number; reason: string }>,
    service: ControlService,
  ) => Promise<void>,
): Promise<void> {
  const service = await openControl({
    hostname: "control.test",
    port: () => 443,
    stateDir: dir,
    admin: { password: "a password", cost: QUICK },
  });
  try {
    const { userId, regKey } = await service.bootstrap();
    await test(async () => {
      const response = await service.fetch(
        new Request("https://api.control.test/api/devices", {
          method: "POST",
          headers: { authorization: `Bearer ${regKey}` },
          body: JSON.stringify({ vpc_id: userId, public_key: newKey(), hostname: "x".repeat(200) }),
        }),
        FROM,
      );
      const { reason } = await response.json();
      return { status: response.status, reason };
    }, service);
  } finally {
    await service.close();
  }
}

Deno.test("a full database is a 503 with a reason, reads go on, and writes do once there is room", async () => {
  if (Deno.env.has("NEXD_TEST_POSTGRES")) return;
  await using control = await TestControl.start();
  const { device } = await control.register();
  await control.store.db.executeQuery(sql`pragma max_page_count = 1`.compile(control.store.db));
  const body = { vpc_id: control.userId, public_key: newKey() };
  let answer;
  do {
    body.public_key = newKey();
    answer = await control.call("POST", "/api/devices", control.regKey, body);
  } while (answer.status === 201);
  assert.equal(answer.status, 503);
  assert.equal(answer.body.reason, "the disk of the database is full");
  assert.ok(Number(answer.headers.get("retry-after")) > 0);
  const known = await control.call("GET", "/api/devices", control.regKey);
  assert.equal(known.status, 200);
  await control.store.db.executeQuery(
    sql`pragma max_page_count = 1000000`.compile(control.store.db),
  );
  // Nothing of the refused one was kept, so it may come again as it was.
  answer = await control.call("POST", "/api/devices", control.regKey, body);
  assert.equal(answer.status, 201, answer.text);
  const list = await control.call("GET", "/api/devices", control.regKey);
  assert.equal(list.body.length, known.body.length + 1);
  assert.ok(list.body.some((one: { id: string }) => one.id === device.id));
});

Deno.test("a disk that is full and then is not keeps what was answered", async () => {
  const dir = await Deno.makeTempDir({ prefix: "nexd-full-" });
  const mount = (...args: string[]) => new Deno.Command(args[0]!, { args: args.slice(1) }).output();
  const { success } = await mount("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir);
  if (!success) {
    await Deno.remove(dir);
    return skip("no permission to mount a small disk");
  }
  try {
    let made = 0;
    await withService(dir, async (register) => {
      for (;;) {
        const { status, reason } = await register();
        if (status === 201) {
          made++;
          continue;
        }
        assert.equal(status, 503);
        assert.match(reason, /^the disk of the database (is full|has failed)$/);
        break;
      }
      await mount("mount", "-o", "remount,size=8m", dir);
      assert.equal((await register()).status, 201);
      made++;
    });
    const database = new DatabaseSync(`${dir}/control.db`);
    assert.equal(database.prepare("SELECT count(*) AS n FROM devices").get()!.n, made);
    assert.equal(database.prepare("PRAGMA integrity_check").get()!.integrity_check, "ok");
    database.close();
  } finally {
    await mount("umount", "-l", dir);
    await Deno.remove(dir);
  }
});

Deno.test("a locked database is waited for, and a 503 with a reason when that takes too long", async () => {
  const dir = await Deno.makeTempDir({ prefix: "nexd-locked-" });
  try {
    await withService(dir, async (register, service) => {
      const other = new DatabaseSync(`${dir}/control.db`);
      other.exec("BEGIN IMMEDIATE");
      const waiting = register();
      await new Promise((resolve) => setTimeout(resolve, 200));
      other.exec("COMMIT");
      assert.equal((await waiting).status, 201, "a moment is waited for");
      other.exec("BEGIN IMMEDIATE");
      const refused = await Promise.all([register(), register()]);
      assert.deepEqual(
        refused,
        [1, 2].map(() => ({
          status: 503,
          reason: "the database is locked by another program",
        })),
      );
      assert.equal(await service.store.ready(), true, "it can still be read");
      other.exec("COMMIT");
      other.close();
      assert.equal((await register()).status, 201);
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a clock that is set back locks nobody out", () => {
  let now = 1e12;
  const attempts = new Attempts({ burst: 3, everyMs: 1_000 }, () => now);
  for (let i = 0; i < 3; i++) attempts.take("ada");
  assert.equal(attempts.wait("ada"), 1_000);
  now -= 3600_000;
  assert.equal(attempts.wait("ada"), 1_000, "as long as before, not an hour more");
  attempts.take("ada");
  now += 4_000;
  assert.equal(attempts.wait("ada"), 0);
});

Deno.test("sessions and keys outlive a clock that jumps a day ahead and back", async () => {
  let now = Date.now();
  await using control = await TestControl.start({ now: () => now });
  await control.addAccount("eve", "a password of eve");
  const sign = (fields: Record<string, string>) =>
    control.form("/oauth/token", { client_id: "nexodus-cli", ...fields });
  const scope = "openid offline_access read:users";
  const first = await sign({
    grant_type: "password",
    username: "eve",
    password: "a password of eve",
    scope,
  });
  assert.equal(first.status, 200, first.text);
  const refresh = async (token: string) => {
    const answer = await sign({ grant_type: "refresh_token", refresh_token: token });
    assert.equal(answer.status, 200, answer.text);
    const me = await control.call("GET", "/api/users/me", answer.body.access_token);
    assert.equal(me.status, 200);
    return answer.body.refresh_token as string;
  };
  now += 100 * 24 * 3600_000; // beyond the life of a signing key
  const again = await sign({
    grant_type: "password",
    username: "eve",
    password: "a password of eve",
    scope,
  });
  const ahead = await refresh(again.body.refresh_token);
  now -= 100 * 24 * 3600_000;
  await refresh(first.body.refresh_token);
  await refresh(ahead);
});
