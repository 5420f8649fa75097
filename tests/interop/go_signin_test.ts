/**
 * The unmodified Go programs sign in at our control plane: the agent by password and by a link, the
 * administration tool by password. Set NEXD_TEST_GO_NEXD and NEXD_TEST_GO_NEXCTL to their paths.
 */

import { deepEqual, equal, ok } from "node:assert/strict";
import { Lab } from "../../scripts/lab/mod.ts";
import { Mesh } from "../../scripts/mesh/mod.ts";
import { BY_PASSWORD, letIn, SERVICE, USER, USER_ENV } from "../sign_in.ts";
import { GoAgent, ping, programOf, startPlainStun, startPublicRelay, until } from "./support.ts";

Deno.test("the Go agent signs in by password and by a link, and meets itself", async () => {
  const program = await programOf("NEXD_TEST_GO_NEXD", "the Go agent, nexd");
  if (program === undefined) return;
  await using lab = await Lab.create({ hosts: 2, nat: "cone" });
  const mesh = new Mesh(lab, { agents: [], env: USER_ENV });
  await Promise.all([mesh.startControl(), startPlainStun(lab), startPublicRelay(lab)]);
  const { regKey } = mesh;
  const byPassword = new GoAgent(lab, program, "a", { regKey, signIn: BY_PASSWORD });
  const byLink = new GoAgent(lab, program, "b", { regKey, signIn: SERVICE });
  const started = Promise.all([byPassword.start(), byLink.start()]);
  const line = await byLink.said(/https:\/\/auth\.control\/device\?user_code=\S+/);
  await letIn(lab, line.match(/https:\/\/auth\.control\/device\?user_code=[A-Z-]+/)![0]);
  const devices = await started;
  ok(devices.every(({ registered }) => registered));
  const [from, to] = [await byPassword.tunnelIp(), await byLink.tunnelIp()];
  await until("a path", 20_000, async () => (await byPassword.methods())[to] === "reflexive");
  const { received } = await ping(lab, "a", to, 20);
  ok(received >= 18, `a got ${received} of 20 answers from b`);

  // Its session and its device are still good when it starts again.
  await byLink.stop();
  deepEqual(await byLink.start(), { id: devices[1]!.id, registered: false });
  equal(await byLink.tunnelIp(), to);
  ok(from !== to);
});

Deno.test("the Go administration tool signs in and sees its user, VPC and devices", async () => {
  const program = await programOf("NEXD_TEST_GO_NEXCTL", "the Go administration tool, nexctl");
  if (program === undefined) return;
  await using lab = await Lab.create({ hosts: 1, nat: "open" });
  const mesh = new Mesh(lab, { agents: [], env: USER_ENV });
  await mesh.startControl();
  const nexctl = async (password: string, ...args: string[]) =>
    await lab.host("a").run([
      ...[program, ...SERVICE, "--username", USER.username, "--password", password],
      ...["--output", "json", ...args],
    ], { env: { SSL_CERT_FILE: `${lab.dir}/control/certs/ca.crt` } });
  const told = async (...args: string[]) => {
    const { code, stdout, stderr } = await nexctl(USER.password, ...args);
    equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return JSON.parse(stdout);
  };
  const me = await told("user", "get-current");
  equal(me.username, USER.username);
  deepEqual((await told("vpc", "list")).map((vpc: { id: string }) => vpc.id), [me.id]);
  deepEqual(await told("device", "list"), []);
  deepEqual((await told("organization", "list")).map((o: { id: string }) => o.id), [me.id]);
  deepEqual(await told("user", "list"), [me]);
  const wrong = await nexctl("wrong", "user", "get-current");
  ok(wrong.code !== 0 && /invalid_grant/.test(wrong.stdout + wrong.stderr), wrong.stderr);
});
