/**
 * Scenarios of Nexodus' integration tests (control-plane contract, "Other Go integration tests") that
 * no other file here has: docs/agent-tests.md says which test is where.
 */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import type { Device } from "../control/api/types.ts";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, underLoad } from "../scripts/lab/support.ts";
import { type AgentStart, Mesh } from "../scripts/mesh/mod.ts";
import { callApi } from "./api_calls.ts";
import { answers } from "./routing_support.ts";
import { BY_PASSWORD, USER_ENV } from "./sign_in.ts";
import { pause } from "./support.ts";

/** Another than the usual one. */
const RELAY_PORT = 51_999;
const USERSPACE = { NEXD_USE_WIREGUARD_GO: "1" };

/** Waits until two hosts answer each other, over the IP versions that both have. */
async function meet(mesh: Mesh, one: string, other: string, versions: 4 | 6 | 46): Promise<void> {
  for (const [from, to] of [[one, other], [other, one]] as const) {
    const { tunnel_ipv4, tunnel_ipv6 } = await mesh.status(to);
    if (versions !== 6) await answers(mesh.lab, from, tunnel_ipv4, 20_000);
    if (versions !== 4) await answers(mesh.lab, from, tunnel_ipv6, 20_000);
  }
}

Deno.test("a relay, a host, one that uses relays only and one without IPv6 meet by one key, and anew when they forgot who they were", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 4, nat: ["cone", "cone", "open", "cone"] });
  equal((await lab.host("d").run(["sysctl", "-w", "net.ipv6.conf.all.disable_ipv6=1"])).code, 0);
  const hosts: Record<string, AgentStart> = {
    b: { args: ["--relay-only"] },
    c: { mode: "relay", args: ["--listen-port", String(RELAY_PORT)] },
  };
  // Another program has the usual control socket: each agent minds its own.
  const other = await lab.host("a").spawn([
    ...[Deno.execPath(), "eval"],
    'Deno.listen({ transport: "unix", path: "/var/run/nexd.sock" }); console.log("ready");' +
    "setInterval(() => {}, 1000);",
  ], { env: { NO_COLOR: "1" } });
  await other.waitFor(/^ready$/, 10_000);
  const mesh = await Mesh.start(lab, { agents: ["c"], env: USERSPACE, hosts });
  await Promise.all(["a", "b", "d"].map((host) => mesh.startAgent(host)));
  await Promise.all([
    meet(mesh, "a", "c", 46),
    meet(mesh, "b", "c", 46),
    meet(mesh, "a", "b", 46),
    meet(mesh, "d", "c", 4),
    meet(mesh, "d", "a", 4),
    meet(mesh, "d", "b", 4),
  ]);
  await mesh.waitForPath("b", "c", "relay-node-peer", 10_000);
  // The relay has the port that it says it has.
  equal((await mesh.status("c")).listen_port, RELAY_PORT);
  match((await mesh.status("c")).reflexive, new RegExp(`:${RELAY_PORT}$`));
  const { endpoint } = (await mesh.status("a")).peers.find(({ hostname }) => hostname === "c")!;
  match(endpoint, new RegExp(`:${RELAY_PORT}$`));
  const listening = await lab.host("c").run(["ss", "-Hlnu", `sport = :${RELAY_PORT}`]);
  match(listening.stdout, new RegExp(`:${RELAY_PORT} `));

  const shown = await lab.host("d").run(["ip", "-o", "address", "show", "wg0"]);
  ok(!shown.stdout.includes("inet6"), shown.stdout);
  equal((await mesh.status("d")).error, undefined);

  // Their devices of before are still there, with their addresses; the relay is one no more.
  const before = [await mesh.status("a"), await mesh.status("c")];
  await Promise.all(["a", "b", "c", "d"].map((host) => mesh.kill(host, "SIGTERM")));
  delete hosts.c;
  await Promise.all(["a", "c"].map(async (host) => {
    await Deno.remove(`${lab.dir}/${host}`, { recursive: true });
    await mesh.startAgent(host);
  }));
  await meet(mesh, "a", "c", 46);
  for (const [i, host] of ["a", "c"].entries()) {
    const { public_key, tunnel_ipv4, tunnel_ipv6 } = await mesh.status(host);
    notEqual(public_key, before[i]!.public_key);
    notEqual(tunnel_ipv4, before[i]!.tunnel_ipv4);
    notEqual(tunnel_ipv6, before[i]!.tunnel_ipv6);
  }
});

Deno.test("hosts get the address they ask for in a VPC of its own range, and move between VPCs and back", async () => {
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
  const hosts: Record<string, AgentStart> = {};
  const mesh = new Mesh(lab, { agents: ["a", "b"], env: USER_ENV, hosts });
  await Promise.all([mesh.startControl(), mesh.startRelay()]);
  const [organizations] = await callApi(mesh, { method: "GET", path: "/api/organizations" });
  const made = await callApi(
    mesh,
    ...[10, 20].map((n) => ({
      method: "POST",
      path: "/api/vpcs",
      body: {
        organization_id: organizations!.body[0].id,
        description: `vpc ${n}`,
        private_cidr: true,
        ipv4_cidr: `10.${n}.0.0/16`,
        ipv6_cidr: `fd00:${n}::/64`,
      },
    })),
  );
  const [vpcA, vpcB] = made.map(({ body }) => body.id as string);
  const start = async (
    vpc: string | undefined,
    range: string,
    wanted: { a?: string; b?: string } = {},
  ) => {
    await Promise.all((["a", "b"] as const).map(async (host) => {
      if (mesh.parts.has(host)) await mesh.kill(host, "SIGTERM");
      const ip = wanted[host];
      const args = [
        ...(vpc === undefined ? [] : ["--vpc-id", vpc]),
        ...(ip === undefined ? [] : ["--request-ip", ip]),
      ];
      hosts[host] = { signIn: BY_PASSWORD, args };
      await mesh.startAgent(host);
      // It begins with what it knew, and moves when the control plane has moved it.
      for (const end = Date.now() + 10_000; !(await mesh.tunnelIp(host)).startsWith(range);) {
        ok(Date.now() < end, `${host} is not in ${range}`);
        await pause(50);
      }
    }));
    await meet(mesh, "a", "b", 46);
    return await Promise.all(["a", "b"].map((host) => mesh.tunnelIp(host)));
  };

  const wanted = { a: "10.10.0.102", b: "10.10.77.1" };
  for (let life = 0; life < 2; life++) {
    deepEqual(await start(vpcA, "10.10.", wanted), Object.values(wanted));
  }
  const keys = (await Promise.all(["a", "b"].map((host) => mesh.status(host))))
    .map(({ public_key }) => public_key);
  await start(undefined, "100.64.");
  await start(vpcB, "10.20.");
  await start(vpcA, "10.10.");
  deepEqual(
    await Promise.all(["a", "b"].map(async (host) => (await mesh.status(host)).public_key)),
    keys,
  );
  const online = async () => {
    const [devices] = await callApi(mesh, { method: "GET", path: "/api/devices" });
    return devices!.body.map((row: Device) => `${row.hostname} ${row.vpc_id} ${row.online}`);
  };
  deepEqual(await online(), [`a ${vpcA} true`, `b ${vpcA} true`]);
  await mesh.kill("b", "SIGTERM");
  const killed = Date.now();
  while ((await online())[1] !== `b ${vpcA} false`) {
    ok(Date.now() - killed < underLoad(10_000), "still online 10 s after its end");
  }
  equal((await online())[0], `a ${vpcA} true`);
});
