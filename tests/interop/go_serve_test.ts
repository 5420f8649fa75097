/**
 * Unmodified Go agents and `nexd serve`, all in one process with a private CA: nothing else of ours runs.
 * Set NEXD_TEST_GO_NEXD to the agent's path.
 */

import { deepEqual, equal, ok } from "node:assert/strict";
import { Lab } from "../../scripts/lab/mod.ts";
import { Mesh, taskArguments } from "../../scripts/mesh/mod.ts";
import { BY_PASSWORD, letIn, SERVICE, USER, USER_ENV } from "../sign_in.ts";
import { devices, GoAgent, ping, programOf, startPlainStun, until } from "./support.ts";

/** The one public relay that the Go agent knows. */
const RELAY = "relay.nexodus.io";
/** A change has to be seen within this time, in ms. */
const SEEN_MS = 5_000;

Deno.test("Go agents join nexd serve by key, password and link, see changes live and meet at its relay", async () => {
  const program = await programOf("NEXD_TEST_GO_NEXD", "the Go agent, nexd");
  if (program === undefined) return;
  await using lab = await Lab.create({ hosts: 3, nat: "symmetric" });
  const mesh = new Mesh(lab, { agents: [], env: USER_ENV });
  const { address } = lab.host("control");
  await Promise.all(
    lab.hosts.map((host) => host.run(["sh", "-c", `echo "${address} ${RELAY}" >>/etc/hosts`])),
  );
  await Promise.all([mesh.startServe(["--certificate-names", RELAY]), startPlainStun(lab)]);
  await Deno.mkdir(`${lab.dir}/relay`);
  await Deno.copyFile(`${lab.dir}/control/certs/ca.crt`, `${lab.dir}/relay/ca.crt`);

  const { regKey } = mesh;
  const byKey = new GoAgent(lab, program, "a", { regKey });
  const byPassword = new GoAgent(lab, program, "b", { regKey, signIn: BY_PASSWORD });
  const byLink = new GoAgent(lab, program, "c", { regKey, signIn: SERVICE });
  // The first is there before the others, and hears of them.
  ok((await byKey.start()).registered);
  const started = Promise.all([byPassword.start(), byLink.start()]);
  const line = await byLink.said(/https:\/\/auth\.control\/device\?user_code=\S+/);
  await letIn(lab, line.match(/https:\/\/auth\.control\/device\?user_code=[A-Z-]+/)![0]);
  const [, { id: last }] = await started;
  const agents = [byKey, byPassword, byLink];
  const known = await devices(lab, regKey);
  deepEqual(known.map(({ hostname, online }) => [hostname, online]), [
    ["a", true],
    ["b", true],
    ["c", true],
  ]);
  const keyOf = (host: string) => known.find(({ hostname }) => hostname === host)!.public_key;
  for (const agent of agents) {
    await until(
      `peers of ${agent.host}`,
      SEEN_MS,
      async () => Object.keys(await agent.peers()).length === 2,
    );
  }
  const [a, b, c] = await Promise.all(agents.map((agent) => agent.tunnelIp()));
  for (const [from, to] of [["a", b], ["b", a], ["b", c], ["c", a]] as const) {
    // The first packets wait for the agent's connection to the relay and a second handshake.
    await until(
      `way from ${from} to ${to}`,
      20_000,
      async () => (await ping(lab, from, to!, 2)).received === 2,
    );
    const { received } = await ping(lab, from, to!, 50);
    ok(received >= 45, `${from} got ${received} of 50 answers from ${to}`);
  }
  deepEqual(await byKey.methods(), { [b!]: "via-derp-relay", [c!]: "via-derp-relay" });

  // What one changes, the others see: here one is deleted.
  const gone = keyOf("c");
  const { code, stderr } = await lab.host("control").run([
    ...[Deno.execPath(), ...taskArguments("agent"), "device", "delete", "--device-id", last],
    ...[...SERVICE, "--username", USER.username, "--password", USER.password],
    ...["--session-file", `${lab.dir}/operator.json`, "--ca", `${lab.dir}/control/certs/ca.crt`],
  ], { env: { NO_COLOR: "1" } });
  equal(code, 0, stderr);
  for (const agent of [byKey, byPassword]) {
    await until(`${agent.host} to lose c`, SEEN_MS, async () => !(gone in await agent.peers()));
  }
  equal((await ping(lab, "a", b!, 20)).received >= 18, true);
});
