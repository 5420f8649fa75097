/**
 * A lab for tests of several relays: two agents behind symmetric NATs, the public relay, and hosts
 * for relays of the VPC, of which tests take away the process, the network or the certificate.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import type { AgentStatus, ListedRelayStatus } from "../agent/ctl/mod.ts";
import { Lab, type LabProcess } from "../scripts/lab/mod.ts";
import { cannotMesh, underLoad } from "../scripts/lab/support.ts";
import { Mesh, taskArguments } from "../scripts/mesh/mod.ts";
import { pause, pingOn, type RunningPing } from "./support.ts";

export { pause };

/** Name of the public relay. */
export const PUBLIC = "relay";

/** Two agents, a and b, and hosts c and d for relays of the VPC named `c.lab` and `d.lab`. */
export class Relays {
  private constructor(readonly mesh: Mesh, readonly lab: Lab) {}

  /** Builds it with agents that reach each other through the public relay, and runs the test. */
  static async with(hosts: 3 | 4, test: (relays: Relays) => Promise<void>): Promise<void> {
    if (await cannotMesh()) return;
    const nat = ["symmetric", "symmetric", "open", "open"] as const;
    await using lab = await Lab.create({ hosts, nat: nat.slice(0, hosts) });
    const mesh = await Mesh.start(lab, { agents: ["a", "b"] });
    const relays = new Relays(mesh, lab);
    await Promise.all([
      mesh.waitForPath("a", "b", "via-derp-relay", 20_000),
      mesh.waitForPath("b", "a", "via-derp-relay", 20_000),
    ]);
    await test(relays);
  }

  /** Starts (again) the relay of the VPC on c or d. */
  start(host: "c" | "d", ...args: string[]): Promise<void> {
    return this.mesh.startVpcRelay(host, { hostname: `${host}.lab`, args });
  }

  /** Ends one as its administrator would, or by force. */
  stop(host: "c" | "d", signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    return this.mesh.kill(`relay-${host}`, signal);
  }

  /** Starts a relay that is not of the VPC where its relay was, with an authority of its own. */
  async startImpostor(host: "c" | "d"): Promise<LabProcess> {
    const dir = `${this.lab.dir}/impostor-${host}`;
    const process = await this.lab.host(host).spawn([
      Deno.execPath(),
      ...taskArguments("relay"),
      ...["--hostname", `${host}.lab`, "--certmode", "selfsigned", "--certdir", dir, "--json"],
      ...["-c", `${dir}/derper.key`, "--workers", "1"],
    ], { env: { NO_COLOR: "1" }, log: `impostor-${host}` });
    await process.waitFor(/"listening"/, 30_000);
    return process;
  }

  /** What an agent says of one relay. */
  async listed(agent: "a" | "b", host: string): Promise<ListedRelayStatus> {
    const { relays } = await this.mesh.status(agent);
    return relays!.find((relay) => relay.host === host)!;
  }

  /** Waits until something holds. */
  async until(what: string, holds: () => Promise<boolean>, limit = 10_000): Promise<void> {
    for (const began = Date.now(); !await holds(); await pause(50)) {
      ok(Date.now() - began < underLoad(limit), `no longer waiting for ${what}`);
    }
  }

  /** Pings each 10 ms from a to b. */
  ping(): Promise<RunningPing> {
    return pingOn(this.mesh, "a", "b", 10);
  }

  /** Where an agent is at home. */
  async home(agent: "a" | "b"): Promise<string> {
    return (await this.mesh.status(agent)).relay!.host;
  }

  /** Waits until both agents are at home at a relay, and both reach each other through it. */
  async meetAt(relay: string, limit: number, home = true): Promise<number> {
    const began = Date.now();
    const there = ({ relay: own, peers }: AgentStatus) =>
      (!home || (own!.host === relay && own!.state === "connected")) &&
      peers.some((peer) => peer.relay === relay);
    let last: AgentStatus[] = [];
    while (Date.now() - began < underLoad(limit)) {
      last = await Promise.all(["a", "b"].map((agent) => this.mesh.status(agent)));
      if (last.every(there)) return Date.now() - began;
      await pause(50);
    }
    const seen = last.map(({ relays, peers }) => ({ relays, peers: peers.map((p) => p.relay) }));
    throw new Error(`not at ${relay} within ${limit} ms: ${JSON.stringify(seen)}`);
  }

  /** Has a host's packets to and from a relay's host dropped without a word, or not any more. */
  async cut(host: "a" | "b" | "c" | "d", from?: "c" | "d" | "relay"): Promise<void> {
    const table = "table inet cut";
    const other = from === undefined ? undefined : this.lab.host(from).address;
    const rules = other === undefined ? "drop" : `ip saddr ${other} drop; ip daddr ${other} drop`;
    await this.shell(
      host,
      `nft -f - <<'END'
${table}
delete ${table}
${table} {
  chain in { type filter hook input priority -10; ${rules}; }
  chain out { type filter hook output priority -10; ${rules}; }
}
END`,
    );
  }

  /** Ends {@linkcode cut}. */
  mend(host: "a" | "b" | "c" | "d"): Promise<void> {
    return this.shell(host, "nft delete table inet cut");
  }

  /** Runs a script on a host. */
  async shell(host: string, script: string): Promise<void> {
    const { code, stderr } = await this.lab.host(host).run(["sh", "-ec", script]);
    equal(code, 0, stderr);
  }
}

/** Ends a ping that was to lose nothing, when what is still under way on the old path has come. */
export async function expectNoLoss(ping: RunningPing, what: string): Promise<void> {
  await pause(600);
  const { received, lost } = await ping.stop();
  equal(lost, 0, `${what}: ${lost} of ${received + lost} pings were lost`);
  ok(received > 50, `${what}: only ${received} pings`);
}

/** Longest time without an answer so far, milliseconds, and when it began. */
export function longestGap(ping: RunningPing, since: number): number {
  let last = since, longest = 0;
  for (const { at } of ping.replies()) {
    if (at <= since) continue;
    longest = Math.max(longest, at - last);
    last = at;
  }
  return longest;
}
