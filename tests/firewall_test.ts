/** Security groups, from the API to the packets of two real agents. */
import { equal, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { SecurityRule } from "../control/api/types.ts";
import type { LabProcess } from "../scripts/lab/mod.ts";
import type { Mesh } from "../scripts/mesh/mod.ts";
import { callApi } from "./api_calls.ts";
import type { ApiAnswer, ApiCall } from "./firewall_host.ts";
import { USER_ENV } from "./sign_in.ts";
import { inMesh, pause } from "./support.ts";
import { underLoad } from "../scripts/lab/support.ts";

const PROGRAM = fileURLToPath(new URL("./firewall_host.ts", import.meta.url));
const UDP = 7001, TCP = 7002, SINK = 7003;
/** How soon a change must show, ms. */
const SOON = 1_000;

const rule = (ip_protocol: string, port = 0): SecurityRule => ({
  ip_protocol,
  from_port: port,
  to_port: port,
});

class Hosts {
  readonly #started: LabProcess[] = [];

  constructor(readonly mesh: Mesh) {}

  async start(host: string, ...args: (string | number)[]): Promise<LabProcess> {
    const process = await this.mesh.lab.host(host).spawn(
      [Deno.execPath(), "run", "-A", PROGRAM, ...args.map(String)],
      { log: `${args[0]}-${crypto.randomUUID().slice(0, 8)}`, env: { NO_COLOR: "1" } },
    );
    this.#started.push(process);
    return process;
  }

  /** Sends requests as the first user. */
  api(...calls: ApiCall[]): Promise<ApiAnswer[]> {
    return callApi(this.mesh, ...calls);
  }

  /** The tables that nft shows on a host. */
  async tables(host: string): Promise<string> {
    return (await this.mesh.lab.host(host).run(["nft", "list", "tables"])).stdout;
  }
}

/** Times of the lines that begin with `what`, ms since the epoch. */
function times(process: LabProcess, what: string): number[] {
  let log = "";
  try {
    log = Deno.readTextFileSync(process.log);
  } catch { /* it has not said anything yet */ }
  return log.split("\n")
    .filter((line) => line.startsWith(`${what} `)).map((line) => Number(line.split(" ").at(-1)));
}

async function until(what: string, ready: () => boolean, limit = 10_000): Promise<void> {
  for (const end = Date.now() + limit; !ready(); await pause(20)) {
    ok(Date.now() < end, `${what}: not within ${limit} ms`);
  }
}

Deno.test("security groups are enforced on two hosts, changed without a gap, and leave nothing", async (t) => {
  await inMesh({ nat: "open", env: USER_ENV }, async (mesh) => {
    await mesh.waitForPath("a", "b", "reflexive", 30_000);
    await mesh.waitForPath("b", "a", "reflexive", 30_000);
    const hosts = new Hosts(mesh);
    const { tunnel_ipv4, tunnel_ipv6 } = await mesh.status("b");
    const addresses = [tunnel_ipv4, tunnel_ipv6];
    const server = await hosts.start("b", "serve", UDP, TCP, SINK);
    await server.waitFor(/^ready$/, 10_000);
    const probe = await hosts.start("a", "probe", UDP, ...addresses);
    const talk = await hosts.start("a", "talk", TCP, tunnel_ipv6);
    const echoed = (address: string) => times(probe, address);
    for (const address of addresses) await until(address, () => echoed(address).length > 5);
    await until("the connection", () => times(talk, "talked").length > 5);
    equal(await hosts.tables("b"), "", "a group without rules needs no table");

    const [devices] = await hosts.api({ method: "GET", path: "/api/devices" });
    const device = devices!.body.find((row: { hostname: string }) => row.hostname === "b");
    const [made, moved] = await hosts.api({
      method: "POST",
      path: "/api/security-groups",
      body: { vpc_id: device.vpc_id, description: "b only", inbound_rules: [rule("tcp")] },
    }).then(async ([group]) => [
      group!,
      (await hosts.api({
        method: "PATCH",
        path: `/api/devices/${device.id}`,
        body: { security_group_id: group!.body.id },
      }))[0]!,
    ]);
    const path = `/api/security-groups/${made!.body.id}`;
    const change = async (body: object) =>
      (await hosts.api({ method: "PATCH", path, body }))[0]!.at;
    const stopped = async (at: number) => {
      await pause(SOON + 300);
      for (const address of addresses) {
        const late = echoed(address).filter((time) => time > at + SOON);
        equal(late.length, 0, `${address} was answered for over ${SOON} ms`);
      }
    };
    const goesOn = async (at: number) => {
      for (const address of addresses) {
        await until(address, () => echoed(address).some((time) => time > at), SOON);
      }
    };

    await t.step("a device's new group stops what it does not name, in both families", async () => {
      await stopped(moved!.at);
    });

    await t.step("a rule lets new traffic through, and a connection lives on", async () => {
      await goesOn(await change({ inbound_rules: [rule("tcp", TCP), rule("udp", UDP)] }));
      // The rule that let the connection in goes: its state stays.
      await goesOn(await change({ inbound_rules: [rule("udp", UDP)] }));
      await pause(500);
      const talked = times(talk, "talked");
      const pauses = talked.slice(1).map((time, i) => time - talked[i]!);
      ok(Date.now() - talked.at(-1)! < underLoad(500), "the connection fell silent");
      ok(
        Math.max(...pauses) < underLoad(800),
        `the connection paused for ${Math.max(...pauses)} ms`,
      );
    });

    await t.step("rules for the way out let answers pass and nothing else", async () => {
      await goesOn(await change({ inbound_rules: [], outbound_rules: [rule("udp", 9)] }));
      await pause(SOON);
      await goesOn(Date.now());
      const ping = await mesh.ping("b", "a", { count: 5 });
      equal(ping.received, 0);
      equal((await mesh.ping("a", "b", { count: 5 })).received, 5);
    });

    await t.step("no forbidden packet passes during 50 changes", async () => {
      await change({ inbound_rules: [rule("tcp")], outbound_rules: [] });
      await pause(SOON);
      const flood = await hosts.start("a", "flood", SINK, ...addresses);
      await until("the flood", () => times(flood, "flooded").length > 5);
      const calls = Array.from({ length: 50 }, (_, i) => ({
        method: "PATCH",
        path,
        body: {
          inbound_rules: [rule("tcp"), ...(i % 2 ? [rule("udp", UDP)] : [])],
          outbound_rules: i % 3 ? [rule("")] : [],
        },
        wait: 60, // enough for the agent to apply each
      }));
      const from = Date.now();
      await hosts.api(...calls);
      ok(times(flood, "flooded").filter((time) => time > from).length > 20, "it flooded little");
      equal(times(server, "sunk").length, 0);
      const at = await change({ inbound_rules: [rule("udp", SINK), rule("tcp")] });
      await until("the flood's arrival", () => times(server, "sunk").some((time) => time > at));
    });

    await t.step("rules outlive a killed agent, come back with it, and end with it", async () => {
      const at = await change({ inbound_rules: [rule("tcp")] });
      await pause(SOON);
      const guarded = async () => (await hosts.tables("b")).includes("nexd-groups-wg0");
      ok(await guarded());
      await mesh.kill("b");
      ok(await guarded());
      await mesh.startAgent("b");
      const again = await hosts.start("a", "talk", TCP, tunnel_ipv6);
      await until("a new connection", () => times(again, "talked").length > 5, 20_000);
      ok(await guarded());
      await mesh.kill("b", "SIGTERM");
      equal(await hosts.tables("b"), "");
      equal(times(server, "sunk").filter((time) => time > at + SOON).length, 0);
    });
  });
});
