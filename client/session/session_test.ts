import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { TestControl } from "../../control/testing.ts";
import { TestUser } from "../testing.ts";

const SERVICE = ["--service-url", "https://control.test"];
const GRACE = [...SERVICE, "--username", "grace", "--password", "correct horse"];

async function start(flags: string[]): Promise<[TestControl, TestUser]> {
  const control = await TestControl.start();
  await control.addAccount("grace", "correct horse");
  return [control, new TestUser(control.app, flags)];
}

/** Paths of the requests since the last look. */
function paths(user: TestUser): string[] {
  return user.sent.splice(0).map(({ url }) => url.pathname);
}

Deno.test("commands sign in once and share the session, in a file of the user alone", async () => {
  const [control, user] = await start(GRACE);
  await using _control = control;
  await using _user = user;
  assert.equal((await user.json("user", "get-current")).username, "grace");
  const signIn = ["/device/login/start", "/.well-known/openid-configuration", "/oauth/token"];
  assert.deepEqual(paths(user), [...signIn, "/api/users/me"]);
  await user.run("vpc", "list");
  assert.deepEqual(paths(user), ["/api/vpcs"]);
  assert.equal(Deno.statSync(user.file).mode! & 0o777, 0o600);
  assert.equal(Deno.statSync(`${user.dir}/home`).mode! & 0o777, 0o700);
  const [session] = JSON.parse(Deno.readTextFileSync(user.file)).sessions;
  assert.deepEqual(Object.keys(session), [
    "api",
    "service",
    "username",
    "access_token",
    "refresh_token",
    "expires_at",
  ]);
  // Another user does not get it, and neither does another control plane.
  await control.addAccount("sol", "battery staple");
  const sol = [...SERVICE, "--username", "sol", "--password", "battery staple"];
  const other = new TestUser(control.app, sol);
  await using _other = other;
  Deno.mkdirSync(`${other.dir}/home`);
  Deno.copyFileSync(user.file, other.file);
  assert.equal((await other.json("user", "get-current")).username, "sol");
  Deno.copyFileSync(user.file, other.file);
  const elsewhere = new TestUser(control.app, ["--service-url", "https://control.example"]);
  await using _elsewhere = elsewhere;
  Deno.mkdirSync(`${elsewhere.dir}/home`);
  Deno.copyFileSync(user.file, elsewhere.file);
  assert.equal(
    await elsewhere.refused("vpc", "list"),
    "Nobody is signed in to https://control.example; run nexd user login, or give --username and --password",
  );
  assert.deepEqual(elsewhere.sent, []);
});

Deno.test("a password by itself is for the user of the kept session", async () => {
  const [control, user] = await start(GRACE);
  await using _control = control;
  await using _user = user;
  await user.run("user", "login");
  const alone = new TestUser(control.app, ["--password", "correct horse"]);
  await using _alone = alone;
  assert.match(await alone.refused("user", "get-current", ...SERVICE), /username/);
  Deno.mkdirSync(`${alone.dir}/home`);
  Deno.copyFileSync(user.file, alone.file);
  assert.equal((await alone.json("user", "get-current")).username, "grace");
  assert.deepEqual(paths(alone), ["/api/users/me"]);
  // Nor is it in the way of a session whose user nobody knows.
  const { current, sessions: [{ username: _, ...nameless }] } = JSON.parse(
    Deno.readTextFileSync(user.file),
  );
  Deno.writeTextFileSync(alone.file, JSON.stringify({ current, sessions: [nameless] }));
  assert.equal((await alone.json("user", "get-current")).username, "grace");
});

Deno.test("a token that has ended is refreshed, one that is refused too, and a dead session is begun anew", async () => {
  const [control, user] = await start(GRACE);
  await using _control = control;
  await using _user = user;
  await user.run("vpc", "list");
  const change = (fields: Record<string, unknown>) => {
    const all = JSON.parse(Deno.readTextFileSync(user.file));
    Object.assign(all.sessions[0], fields);
    Deno.writeTextFileSync(user.file, JSON.stringify(all));
  };
  paths(user);
  const refresh = ["/device/login/start", "/.well-known/openid-configuration", "/oauth/token"];
  change({ expires_at: "2020-01-01T00:00:00Z" });
  await user.run("vpc", "list");
  assert.match(user.sent[2]!.body!, /grant_type=refresh_token/);
  assert.deepEqual(paths(user), [...refresh, "/api/vpcs"]);
  change({ access_token: "garbage" });
  await user.run("vpc", "list");
  assert.deepEqual(paths(user), ["/api/vpcs", ...refresh, "/api/vpcs"]);
  change({ access_token: "garbage", refresh_token: "garbage" });
  await user.run("vpc", "list");
  assert.match(user.sent.at(-2)!.body!, /grant_type=password/);
  paths(user);
  // Without a password and a person it says what to do.
  change({ access_token: "garbage", refresh_token: "garbage" });
  const nobody = new TestUser(control.app, SERVICE);
  await using _nobody = nobody;
  Deno.mkdirSync(`${nobody.dir}/home`);
  Deno.copyFileSync(user.file, nobody.file);
  assert.match(
    await nobody.refused("vpc", "list"),
    /^Nobody is signed in to .*run nexd user login/,
  );
  for (const text of ["", "{", "[]", '{"sessions":[1,{"api":7}]}', "null"]) {
    Deno.writeTextFileSync(user.file, text);
    assert.match(await user.run("vpc", "list"), /^VPC ID/);
  }
});

Deno.test("login shows a link, remembers who and where, and logout ends the session at both ends", async () => {
  const [control, user] = await start(SERVICE);
  await using _control = control;
  await using _user = user;
  const { promise, resolve } = Promise.withResolvers<string>();
  user.onTold = (line) => line.includes("https://auth") && resolve(line.trim());
  const signedIn = user.run("user", "login");
  const link = new URL(await promise);
  const code = link.searchParams.get("user_code")!;
  assert.match(user.told.join("\n"), new RegExp(`^  ${code}$`, "m"));
  const fields = { user_code: code, username: "grace", password: "correct horse", action: "allow" };
  const page = await control.form(link.pathname, fields);
  assert.equal(page.status, 200, page.text);
  assert.equal(await signedIn, "Signed in to https://control.test as grace");

  // From now on no flag is needed.
  const plain = new TestUser(control.app);
  await using _plain = plain;
  Deno.mkdirSync(`${plain.dir}/home`);
  Deno.copyFileSync(user.file, plain.file);
  assert.match(await plain.run("user", "get-current"), /grace/);
  const { refresh_token } = JSON.parse(Deno.readTextFileSync(user.file)).sessions[0];
  assert.match(
    await plain.run("user", "logout"),
    /^Signed out of https:\/\/control.test, where you/,
  );
  assert.deepEqual(JSON.parse(Deno.readTextFileSync(plain.file)), { sessions: [] });
  const again = await control.form("/oauth/token", {
    ...{ client_id: "nexodus-cli", grant_type: "refresh_token", refresh_token },
  });
  assert.equal(again.status, 400);
  const none = new TestUser(control.app, SERVICE);
  await using _none = none;
  assert.equal(await none.run("user", "logout"), "Nobody is signed in to https://control.test");
  assert.deepEqual(await none.json("user", "logout"), {
    service_url: "https://control.test",
    session_ended: false,
    signed_out: false,
  });
});

Deno.test("a wrong password is told once, and a missing one is not waited for", async () => {
  const [control, user] = await start([
    ...[...SERVICE, "--username", "grace", "--password", "wrong"],
  ]);
  await using _control = control;
  await using _user = user;
  assert.match(await user.refused("vpc", "list"), /refused user grace: .*password is wrong/);
  assert.equal(user.sent.filter(({ url }) => url.pathname === "/oauth/token").length, 1);
  const mute = new TestUser(control.app, [...SERVICE, "--username", "grace"]);
  await using _mute = mute;
  assert.match(
    await mute.refused("vpc", "list"),
    /password of user grace is missing; give --password/,
  );
});

Deno.test("commands at the same time refresh a session one after the other", async () => {
  const [control, user] = await start(GRACE);
  await using _control = control;
  await using _user = user;
  await user.run("vpc", "list");
  const all = JSON.parse(Deno.readTextFileSync(user.file));
  all.sessions[0].expires_at = "2020-01-01T00:00:00Z";
  Deno.writeTextFileSync(user.file, JSON.stringify(all));
  user.sent.splice(0);
  await Promise.all(Array.from({ length: 5 }, () => user.run("vpc", "list")));
  const tokens = user.sent.filter(({ url }) => url.pathname === "/oauth/token");
  assert.equal(tokens.length, 1);
});

Deno.test("a session keeps the CA that its control plane was checked with", async () => {
  const [control, user] = await start(GRACE);
  await using _control = control;
  await using _user = user;
  const { ca } = await ensureSelfSigned(`${user.dir}/tls`, ["control.test"]);
  Deno.writeTextFileSync(`${user.dir}/ca.crt`, `text around\n${ca}`);
  await user.run("vpc", "list", "--ca", `${user.dir}/ca.crt`);
  const kept = () => JSON.parse(Deno.readTextFileSync(user.file)).sessions[0];
  assert.equal(kept().ca, ca);
  // The CA of a fingerprint is kept beside the session, and so is how a host asks for it.
  const hex = new X509Certificate(ca).fingerprint256.replaceAll(":", "").toLowerCase();
  Deno.writeTextFileSync(`${user.dir}/home/ca-${hex.slice(0, 16)}.pem`, ca);
  await user.run("user", "login", "--ca", `sha256:${hex}`);
  assert.deepEqual([kept().ca, kept().ca_flag], [ca, `sha256:${hex}`]);
  const plain = new TestUser(control.app, ["--session-file", user.file]);
  await using _plain = plain;
  assert.match(
    await plain.run("reg-key", "create"),
    new RegExp(
      `\n\nJoin a host with: nexd --reg-key 'https://control.test#RK:\\S+' --ca sha256:${hex}$`,
    ),
  );
  assert.match(
    await user.refused("vpc", "list", "--ca", "/none"),
    /Cannot use \/none as a CA file/,
  );
});
