/**
 * The acceptance scenarios of Nexodus' DERP relay tests (control-plane contract, "Acceptance
 * scenarios"), with two of our agents and, where NEXD_TEST_GO_NEXD names it, with one of ours and the
 * unmodified Go agent.
 */
import { equal, notEqual, ok } from "node:assert/strict";
import { ensureSelfSigned } from "../relay/cert/mod.ts";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, skip } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { GoAgent, ping, startPlainStun, startPublicRelay, until } from "./interop/support.ts";

/** Name of the VPC's own relay, which no DNS knows. */
const CUSTOM = "custom.relay.nexodus.io";
/** What pings have to succeed within, ms. */
const LIMIT = 90_000;

/** Who is on the second host. */
type Second = "ours" | "the Go agent";

/** Two hosts, a and b, and a third for a relay of the VPC. */
class Stage {
  private constructor(readonly mesh: Mesh, readonly go: GoAgent | undefined) {}

  /** Builds it and runs the test on it, or says why this machine cannot. */
  static async with(
    second: Second,
    relayOnly: { a: boolean; b: boolean },
    test: (stage: Stage) => Promise<void>,
  ): Promise<void> {
    const program = second === "ours" ? "" : Deno.env.get("NEXD_TEST_GO_NEXD") ?? "";
    if (second !== "ours" && program === "") {
      return skip("NEXD_TEST_GO_NEXD does not name the Go agent, nexd");
    }
    if (await cannotMesh()) return;
    await using lab = await Lab.create({ hosts: 3, nat: ["cone", "cone", "open"] });
    const { publicAddress } = lab.host("c");
    // Certificates that hosts trust as their administrator told them to; only the Go agent needs the
    // name in its hosts file.
    await ensureSelfSigned(`${lab.dir}/relay`, ["relay.nexodus.io"]);
    await ensureSelfSigned(`${lab.dir}/relay-c`, [CUSTOM]);
    const cas = ["relay", "relay-c"].map((dir) =>
      Deno.readTextFileSync(`${lab.dir}/${dir}/ca.crt`)
    );
    Deno.writeTextFileSync(`${lab.dir}/relay-cas.pem`, cas.join(""));
    const args = (only: boolean) => only ? ["--relay-only"] : [];
    const executable = Deno.env.get("NEXD_ACCEPTANCE_EXECUTABLE");
    const mesh = new Mesh(lab, {
      ...(executable === undefined ? {} : { executable }),
      agents: ["a", "b"],
      agentArgs: [
        ...["--public-relay=relay.nexodus.io:443", "--relay-ca", `${lab.dir}/relay-cas.pem`],
      ],
      hosts: { a: { args: args(relayOnly.a) }, b: { args: args(relayOnly.b) } },
    });
    await Promise.all([startPlainStun(lab), mesh.startControl()]);
    if (second !== "ours") {
      await lab.host("b").run(["sh", "-c", `echo "${publicAddress} ${CUSTOM}" >>/etc/hosts`]);
    }
    const go = second === "ours"
      ? undefined
      : new GoAgent(lab, program, "b", { regKey: mesh.regKey, moreRoots: ["relay-c"] });
    await test(new Stage(mesh, go));
    // The Go agent is told to end before its lab goes.
    await go?.stop();
  }

  /** Starts both agents. */
  async start(relayOnly: boolean): Promise<void> {
    await Promise.all([
      this.mesh.startAgent("a"),
      this.go === undefined
        ? this.mesh.startAgent("b")
        : this.go.start(...(relayOnly ? ["--relay-only"] : [])),
    ]);
  }

  async tunnelIps(): Promise<{ a: string; b: string }> {
    return {
      a: await this.mesh.tunnelIp("a"),
      b: await (this.go?.tunnelIp() ?? this.mesh.tunnelIp("b")),
    };
  }

  /** One try in each direction. */
  async pingOnce(): Promise<number> {
    const ip = await this.tunnelIps();
    const both = await Promise.all([
      ping(this.mesh.lab, "a", ip.b, 2),
      ping(this.mesh.lab, "b", ip.a, 2),
    ]);
    return both[0].received + both[1].received;
  }

  /** Pings in each direction until both succeed. */
  async pings(): Promise<void> {
    await until("pings both ways", LIMIT, async () => {
      const ip = await this.tunnelIps();
      return (await ping(this.mesh.lab, "a", ip.b, 2)).received > 0 &&
        (await ping(this.mesh.lab, "b", ip.a, 2)).received > 0;
    });
  }

  /** The relay of the VPC, whose name its hosts learn from its metadata. */
  async startVpcRelay(): Promise<void> {
    await this.mesh.startVpcRelay("c", { hostname: CUSTOM, args: ["--certmode", "manual"] });
  }

  /** How our agent on `a` reaches the other. */
  async path(): Promise<string> {
    const { peers, relay } = await this.mesh.status("a");
    return `${peers[0]?.method} ${peers[0]?.method === "via-derp-relay" ? relay?.host : ""}`.trim();
  }
}

for (const second of ["ours", "the Go agent"] as const) {
  Deno.test(`two hosts that only use relays have addresses and no way when there is no relay, one being ${second}`, async () => {
    await Stage.with(second, { a: true, b: true }, async (stage) => {
      const { mesh } = stage;
      for (const host of ["a", "b"]) {
        await mesh.lab.host(host).run([
          "sh",
          "-c",
          "echo 127.0.0.1 relay.nexodus.io >>/etc/hosts",
        ]);
      }
      await stage.start(true);
      for (const host of ["a", "b"]) {
        const { stdout } = await mesh.lab.host(host).run([
          "ip",
          "-4",
          "-o",
          "address",
          "show",
          "wg0",
        ]);
        ok(stdout.includes("inet 100."), `${host}: ${stdout}`);
      }
      equal(await stage.pingOnce(), 0);
    });
  });

  for (const both of [true, false]) {
    const who = both ? "both hosts" : "one host";
    Deno.test(`pings succeed through the public relay when ${who} can only use relays, one being ${second}`, async () => {
      await Stage.with(second, { a: true, b: both }, async (stage) => {
        await startPublicRelay(stage.mesh.lab);
        await stage.start(both);
        await stage.pings();
        equal(await stage.path(), "via-derp-relay relay.nexodus.io");
      });
    });
    Deno.test(`pings succeed through the VPC's relay when ${who} can only use relays, one being ${second}`, async () => {
      await Stage.with(second, { a: true, b: both }, async (stage) => {
        if (both) await stage.startVpcRelay();
        await stage.start(both);
        if (!both) await stage.startVpcRelay();
        await stage.pings();
        equal(await stage.path(), `via-derp-relay ${CUSTOM}`);
        // Everybody on the host finds the relay by its name, until the agent ends.
        const { lab } = stage.mesh, look = () => lab.host("a").run(["getent", "hosts", CUSTOM]);
        equal((await look()).stdout.split(/\s+/)[0], lab.host("c").publicAddress);
        const { host = [] } = await stage.mesh.status("a");
        ok(host.some((line) => line.includes(CUSTOM)), host.join("\n"));
        await stage.mesh.kill("a", "SIGTERM");
        notEqual((await look()).code, 0);
      });
    });
  }

  Deno.test(`hosts go over to the VPC's relay without a restart when the public one is gone, one being ${second}`, async () => {
    await Stage.with(second, { a: true, b: true }, async (stage) => {
      const { mesh } = stage;
      const relay = await startPublicRelay(mesh.lab);
      await stage.start(true);
      await stage.pings();
      relay.kill("SIGTERM");
      await relay.exited;
      notEqual(await stage.path(), `via-derp-relay ${CUSTOM}`);
      await until("no pings without a relay", 15_000, async () => await stage.pingOnce() === 0);
      await stage.startVpcRelay();
      await stage.pings();
      equal(await stage.path(), `via-derp-relay ${CUSTOM}`);
    });
  });
}
