import assert from "node:assert/strict";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { TestControl } from "../../control/testing.ts";
import { ClientError } from "../errors.ts";
import { TestUser } from "../testing.ts";

const SERVICE = "https://control.test";
const usage = (pattern: RegExp) => (error: unknown) =>
  error instanceof ClientError && error.exitCode === 2 && pattern.test(error.message);

Deno.test("relay-region commands add, list, change, drain and delete public relays", async () => {
  await using control = await TestControl.start();
  await control.addOperator("op", "user-token-of-op");
  await using op = new TestUser(control.app);
  op.begin(SERVICE, "user-token-of-op");
  assert.equal(
    await op.run("relay-region", "list"),
    `
NAME            REGION  ADDRESS           WEIGHT  STATE     HEALTH
NexodusDefault  900     relay.nexodus.io  100     built in
`.trim(),
  );
  const { ca } = await ensureSelfSigned(`${op.dir}/ca`, ["a.test"]);
  Deno.writeTextFileSync(`${op.dir}/ca.pem`, `a comment\n${ca}`);
  const added = await op.json(
    ...["relay-region", "add", "--hostname", "a.test", "--name", "west"],
    ...["--port", "8443", "--relay-ca", `${op.dir}/ca.pem`, "--weight", "7"],
  );
  assert.deepEqual({ ...added, id: "" }, {
    ...{ id: "", name: "west", region_id: 900, hostname: "a.test", port: 8443, stun_port: 3478 },
    ...{ ca, weight: 7, drained: false, revision: 1 },
  });
  await op.run("relay-region", "add", "--hostname", "b.test");
  await op.run("relay-region", "drain", "--relay-region", "west");
  await op.run("relay-region", "update", "--relay-region", "b.test", "--weight", "200");
  assert.equal(
    await op.run("relay-region", "list"),
    `
NAME    REGION  ADDRESS      WEIGHT  STATE    HEALTH
b.test  902     b.test       200     in use
west    900     a.test:8443  7       drained
`.trim(),
  );
  await op.run("relay-region", "drain", "--relay-region", added.id, "--undo");
  assert.equal((await op.json("relay-region", "list"))[1].drained, false);
  await op.run("relay-region", "delete", "--relay-region", "b.test");
  assert.deepEqual((await op.json("relay-region", "list")).map(({ id }: { id: string }) => id), [
    added.id,
  ]);
});

Deno.test("relay-region commands say what is wrong before they change anything", async () => {
  await using control = await TestControl.start();
  await using ada = new TestUser(control.app);
  ada.begin(SERVICE, control.user);
  const run = (...words: string[]) => ada.run("relay-region", ...words);
  await assert.rejects(run("add"), usage(/needs --hostname/));
  await assert.rejects(
    run("add", "--hostname", "a", "--port", "x"),
    usage(/--port x is no number/),
  );
  await assert.rejects(run("update", "--relay-region", "a"), usage(/something to change/));
  await assert.rejects(
    run("drain", "--relay-region", "nope"),
    usage(/nope is none of NexodusDefault; see nexd relay-region list/),
  );
  await assert.rejects(run("add", "--hostname", "a.test"), (error) => {
    assert.match((error as Error).message, /only the operator .* \(status 403\)/);
    return true;
  });
  assert.deepEqual(ada.calls.filter((call) => !call.startsWith("GET")), [
    'POST /api/relay-regions {"hostname":"a.test"}\n',
  ]);
});
