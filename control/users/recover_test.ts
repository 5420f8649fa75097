import assert from "node:assert/strict";
import { verifyPassword } from "../auth/mod.ts";
import { openControl } from "../service.ts";
import { Store } from "../store/mod.ts";
import { runRecover } from "./recover.ts";

const OLD = "a password of ada";

async function withState(test: (stateDir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "nexd-recover-" });
  try {
    await test(`${dir}/control`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function recover(stateDir: string, args: string[], json = true): { done: Promise<string[]> } {
  const lines: string[] = [];
  const context = { json, args, version: "test", print: (line: string) => void lines.push(line) };
  return { done: runRecover({ "state-dir": stateDir }, context).then(() => lines) };
}

async function accountOf(stateDir: string) {
  const store = await Store.open(`${stateDir}/control.db`);
  try {
    return await store.db.selectFrom("accounts").selectAll().where("username", "=", "ada")
      .executeTakeFirstOrThrow();
  } finally {
    await store.close();
  }
}

Deno.test("recover gives an account a new password and ends its sessions while the control plane runs", async () => {
  await withState(async (stateDir) => {
    const service = await openControl({
      ...{ stateDir, hostname: "control.test", port: () => 443 },
      admin: { username: "ada", password: OLD },
    });
    try {
      await service.bootstrap();
      const before = await accountOf(stateDir);
      assert(await verifyPassword(OLD, before.password_hash));
      const [line] = await recover(stateDir, ["ada"]).done;
      const { account, password, disabled } = JSON.parse(line!);
      assert.deepEqual([account, disabled], ["ada", false]);
      const form = (given: string) =>
        service.fetch(
          new Request("https://auth.control.test/oauth/token", {
            method: "POST",
            body: new URLSearchParams({
              ...{ grant_type: "password", client_id: "nexodus-cli" },
              ...{ username: "ada", password: given },
            }),
          }),
          { transport: "tcp", hostname: "192.0.2.1", port: 1 },
        );
      assert.equal((await form(password)).status, 200);
      assert.equal((await form(OLD)).status, 400);
      const after = await accountOf(stateDir);
      assert.equal(after.generation, before.generation + 1);
      const [told, ...more] = await recover(stateDir, ["ada"], false).done;
      assert.match(told!, /^The password of ada is \S+ now; all its sessions have ended\.$/);
      assert.deepEqual(more, []);
    } finally {
      await service.close();
    }
  });
});

Deno.test("recover changes nothing and says what to do when there is no such account or no database", async () => {
  await withState(async (stateDir) => {
    await assert.rejects(
      recover(stateDir, ["ada"]).done,
      /There is no .*control\.db; check --state-dir/,
    );
    assert.throws(() => Deno.statSync(stateDir), Deno.errors.NotFound);
    await Deno.mkdir(stateDir);
    const service = await openControl({
      ...{ stateDir, hostname: "control.test", port: () => 443 },
      admin: { username: "ada", password: OLD },
    });
    await service.bootstrap();
    await service.close();
    await assert.rejects(recover(stateDir, ["eve"]).done, {
      message: 'There is no account "eve"; choose ada',
      exitCode: 2,
    });
    for (const args of [[], ["ada", "eve"]]) {
      await assert.rejects(recover(stateDir, args).done, /Name one account/);
    }
    assert(await verifyPassword(OLD, (await accountOf(stateDir)).password_hash));
  });
});
