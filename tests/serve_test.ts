/**
 * `nexd serve` on one host: hosts behind NATs join with the line that it prints and nothing else, and
 * follow what its operator does to the public relays.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { DevicePaths, RelayView } from "../control/api/types.ts";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh } from "../scripts/lab/support.ts";
import { Mesh, type ServePrinted, taskArguments } from "../scripts/mesh/mod.ts";
import { GoAgent, ping, programOf, startPlainStun, until } from "./interop/support.ts";
import { pingOn } from "./support.ts";

/** A drained relay has to be left within this time, ms. */
const LEFT_MS = 5_000;

/** Runs a command as the operator, on the host of `nexd serve`. */
async function operate(mesh: Mesh, printed: ServePrinted, ...words: string[]): Promise<string> {
  const { service_url, username, password, ca_fingerprint } = printed;
  const { code, stdout, stderr } = await mesh.lab.host("control").run([
    ...[Deno.execPath(), ...taskArguments("agent"), ...words],
    ...["--service-url", service_url, "--username", username, "--password", password],
    ...["--ca", ca_fingerprint, "--session-file", `${mesh.lab.dir}/operator/sessions.json`],
  ], { env: { NO_COLOR: "1" } });
  equal(code, 0, stderr);
  return stdout;
}

/** What the API tells the operator; `VPC` in the path is the operator's own. */
async function ask<T>(mesh: Mesh, { password }: ServePrinted, path: string): Promise<T> {
  const script = `
    const origin = "https://control", form = new URLSearchParams({
      grant_type: "password", client_id: "nexodus-cli", scope: "read:organizations read:users",
      username: "admin", password: ${JSON.stringify(password)} });
    const token = await (await fetch(origin + "/oauth/token", { method: "POST", body: form })).json();
    const get = async (path) => (await fetch(origin + path, {
      headers: { authorization: "Bearer " + token.access_token } })).json();
    const { id } = await get("/api/users/me");
    console.log(JSON.stringify(await get(${JSON.stringify(path)}.replace("VPC", id))));`;
  const { code, stdout, stderr } = await mesh.lab.host("control").run([
    ...[Deno.execPath(), "eval", "--unsafely-ignore-certificate-errors=control", script],
  ], { env: { NO_COLOR: "1" } });
  equal(code, 0, stderr);
  return JSON.parse(stdout) as T;
}

/** Host of the relay that an agent is at home at, once it is logged in there. */
async function homeOf(mesh: Mesh, agent: string): Promise<string | undefined> {
  const { relay } = await mesh.status(agent);
  return relay?.state === "connected" ? relay.host : undefined;
}

Deno.test("hosts join nexd serve by the printed line, meet at its relay, and leave it when it is drained", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const mesh = new Mesh(lab, { agents: ["a", "b"] });
  // The relay beside it is another one, of which agents will be told later.
  const [printed] = await Promise.all([mesh.startServe(), mesh.startRelay()]);
  await Promise.all(["a", "b"].map((name) => mesh.startAgent(name)));
  for (const [from, to] of [["a", "b"], ["b", "a"]] as const) {
    await mesh.waitForPath(from, to, "via-derp-relay", 20_000);
    equal(await homeOf(mesh, from), "control");
  }
  equal((await mesh.ping("a", "b", { count: 100, intervalMs: 10 })).received, 100);

  // What they tell of it is what the dashboard shows.
  await until("both to tell of their ways", 20_000, async () => {
    const told = await ask<DevicePaths[]>(mesh, printed, `/api/vpcs/VPC/paths`);
    return told.length === 2 &&
      told.every(({ peers: [peer] }) =>
        peer?.path === "relayed" && peer.healthy && peer.relay === "control" &&
        peer.latency_ms !== undefined && peer.reason !== ""
      );
  });
  const [seen] = await ask<RelayView[]>(mesh, printed, `/api/vpcs/VPC/relays`);
  deepEqual([seen?.hostname, seen?.devices, seen?.home], ["control", 2, 2]);
  ok(seen?.latency_ms !== undefined);

  const ca = `${lab.dir}/relay/ca.crt`;
  await operate(mesh, printed, "relay-region", "add", "--hostname", "relay", "--relay-ca", ca);
  const list = JSON.parse(await operate(mesh, printed, "relay-region", "list", "--json"));
  deepEqual(
    list.map(({ hostname, drained }: Record<string, unknown>) => [hostname, drained]),
    [["control", false], ["relay", false]],
  );
  const running = await pingOn(mesh, "a", "b", 50);
  const at = Date.now();
  await running.replyAfter(at, 5_000);
  await operate(mesh, printed, "relay-region", "drain", "--relay-region", "control");
  await until("everybody to leave the drained relay", LEFT_MS, async () => {
    const homes = await Promise.all(["a", "b"].map((name) => homeOf(mesh, name)));
    return homes.every((home) => home === "relay");
  });
  await running.replyAfter(Date.now() + 500, 5_000);
  const { lost, received } = await running.stop();
  ok(received > 10 && lost === 0, `${lost} of ${received + lost} pings were lost by the move`);

  // Started again it prints less, and hosts that are known come back by themselves.
  await mesh.kill("control", "SIGTERM");
  const again = await mesh.startServe();
  equal(again.password, undefined);
  equal(again.join, printed.join);
  await until("agents to find the control plane again", 20_000, async () => {
    const states = await Promise.all(["a", "b"].map((name) => mesh.status(name)));
    return states.every(({ control }) => control.state === "connected");
  });
  equal((await mesh.ping("b", "a", { count: 20, intervalMs: 20 })).received, 20);
});

Deno.test("the Go agent joins nexd serve and meets ours at its relay", async () => {
  const program = await programOf("NEXD_TEST_GO_NEXD", "the Go agent, nexd");
  if (program === undefined) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const mesh = new Mesh(lab, { agents: ["a"] });
  // It knows one public relay, by a name of its own, which here leads to ours.
  const name = "relay.nexodus.io";
  const { address } = lab.host("control");
  await lab.host("b").run(["sh", "-c", `echo "${address} ${name}" >>/etc/hosts`]);
  await Promise.all([mesh.startServe(["--certificate-names", name]), startPlainStun(lab)]);
  await Deno.mkdir(`${lab.dir}/relay`);
  await Deno.copyFile(`${lab.dir}/control/certs/ca.crt`, `${lab.dir}/relay/ca.crt`);
  const go = new GoAgent(lab, program, "b", { regKey: mesh.regKey });
  await Promise.all([mesh.startAgent("a"), go.start()]);
  const [ours, theirs] = [await mesh.tunnelIp("a"), await go.tunnelIp()];
  await mesh.waitForPath("a", "b", "via-derp-relay", 30_000);
  equal((await mesh.status("a")).relay?.host, "control");
  for (const [from, to] of [["a", theirs], ["b", ours]] as const) {
    const { received } = await ping(lab, from, to, 50);
    ok(received >= 45, `${from} got ${received} of 50 answers`);
  }
});
