/** The commands about accounts, against our own control plane in this process. */
import assert from "node:assert/strict";
import { TestControl } from "../../../control/testing.ts";
import { TestUser } from "../../testing.ts";

const SERVICE = "https://control.test";
const PASSWORD = "correct horse battery";

Deno.test("account commands make, list, change, disable and delete accounts for the operator", async () => {
  await using control = await TestControl.start();
  await control.addOperator("boss", "token-of-boss");
  await using boss = new TestUser(control.app);
  boss.begin(SERVICE, "token-of-boss");
  const made = await boss.json("user", "create", "--name", "kim", "--email", "kim@control.test");
  assert.match(made.password, /^[\w-]{23}$/);
  boss.typed = [PASSWORD];
  const sol = await boss.json("user", "create", "--name", "sol", "--password-stdin");
  assert.equal(sol.password, undefined);
  assert.equal(
    await boss.run("user", "accounts"),
    `
USER NAME  FULL NAME  EMAIL             STATE
boss                                    operator
kim                   kim@control.test  in use
sol                                     in use`.slice(1),
  );
  boss.typed = [PASSWORD, "another one"];
  assert.match(await boss.refused("user", "passwd", "--account", "kim", "--ask"), /not the same/);
  assert.match(await boss.run("user", "passwd", "--account", "kim"), /PASSWORD\nkim +[\w-]{23}\n/);
  assert.match(await boss.run("user", "disable", "--account", made.id), /disabled/);
  assert.match(await boss.run("user", "enable", "--account", "kim"), /enabled/);
  assert.equal(
    (await boss.json("user", "update", "--account", "kim", "--operator", "yes")).operator,
    true,
  );
  assert.match(await boss.refused("user", "update", "--account", "kim"), /something to change/);
  assert.match(await boss.refused("user", "disable", "--account", "eve"), /eve is nobody/);
  await boss.run("user", "delete", "--account", "sol");
  assert.ok(!(await boss.run("user", "accounts")).includes("sol"));
  // No password was ever part of an address.
  assert.ok(boss.sent.every(({ url }) => !url.href.includes("password=")));
});

Deno.test("a person changes the own password and stays signed in, without it being a flag", async () => {
  await using control = await TestControl.start();
  await control.addAccount("kim", PASSWORD);
  await using kim = new TestUser(control.app, ["--service-url", SERVICE]);
  await kim.run("user", "login", "--username", "kim", "--password", PASSWORD);
  kim.typed = [PASSWORD, "a better password", "a better password"];
  assert.match(await kim.run("user", "passwd"), /all other sessions ended/);
  assert.match(await kim.run("user", "get-current"), /kim/);
  kim.typed = ["wrong", "whatever it is"];
  assert.match(await kim.refused("user", "passwd", "--password-stdin"), /it is wrong/);
  kim.typed = ["a better password"];
  assert.match(await kim.refused("user", "passwd", "--password-stdin"), /empty/);
  assert.match(await kim.refused("user", "create", "--name", "x"), /only the operator/);
  await using again = new TestUser(control.app, ["--service-url", SERVICE]);
  const login = ["user", "login", "--username", "kim", "--password"];
  assert.match(await again.refused(...login, PASSWORD), /wrong/);
  await again.run(...login, "a better password");
});

Deno.test("an invitation of somebody unknown prints the link that lets the person in", async () => {
  await using control = await TestControl.start();
  await using ada = new TestUser(control.app);
  ada.begin(SERVICE, control.user);
  const text = await ada.run("invitation", "create", "--email", "new@control.test");
  assert.match(text, /\n {2}https:\/\/auth\.control\.test\/invitation\?code=[\w-]{32}$/);
});
