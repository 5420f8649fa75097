import { fileURLToPath } from "node:url";
import { underLoad } from "../lab/load.ts";
import { type AgentStatus, describeAgent } from "../../agent/ctl/mod.ts";
import type { Lab, LabProcess } from "../lab/mod.ts";
import { LabError } from "../lab/mod.ts";
import {
  type IperfResult,
  parseIperf,
  parseMetrics,
  parsePing,
  PING_SLACK,
  pingArguments,
  type PingResult,
} from "./measure.ts";
import { commandOf, type Task } from "./program.ts";

const INSIDE = fileURLToPath(new URL("./inside.ts", import.meta.url));
/** Longest a part may take to say that it is up, in ms. */
const START_MS = 30_000;
const STUN_PORT = 3478;

/** What runs on a mesh's hosts. */
export interface MeshOptions {
  /** Hosts that get an agent. */
  agents: string[];
  /** A built executable, in place of the clone's source. NEXD_TEST_EXECUTABLE where it is left out. */
  executable?: string;
  /** More environment for every part. */
  env?: Record<string, string>;
  /** More flags for every agent. */
  agentArgs?: string[];
  /** What else one host's agent is started with, by host. */
  hosts?: Record<string, AgentStart>;
}

/** How one agent is started. */
export interface AgentStart {
  /** Subcommand: `router` or `relay`; the agent itself when left out. */
  mode?: "router" | "relay";
  /** More flags. */
  args?: string[];
  /** Flags by which it signs in, in place of the registration key's. */
  signIn?: string[];
  env?: Record<string, string>;
}

/** What `nexd serve` prints, as far as it is used here. */
export interface ServePrinted {
  service_url: string;
  username: string;
  password: string;
  reg_key: string;
  join: string;
  ca_fingerprint: string;
}

/** How a relay of the VPC is started. */
export interface VpcRelayStart {
  /** Name of its certificate; its host's name when left out. */
  hostname?: string;
  /** More flags, e.g. `--addr`. */
  args?: string[];
}

/** What one host's NAT did to one socket's packets to two servers. */
export interface NatObservation {
  kind: "symmetric" | "cone" | "open";
  /** `ip:port` that each server saw. */
  seen: string[];
}

/**
 * Control plane, relay and agents in one lab. Parts can be started one by one or all at once
 * ({@linkcode Mesh.start}), and killed and started again under traffic. The lab's end is theirs.
 */
export class Mesh {
  readonly #env: Record<string, string>;
  readonly #agentArgs: string[];
  #regKey = "";
  /** Words of the command that `nexd serve` printed to join a host. */
  #joinLine: string[] | undefined;

  /** The running parts: `control`, `relay`, and each agent by its host's name. */
  readonly parts = new Map<string, LabProcess>();

  constructor(readonly lab: Lab, readonly options: MeshOptions) {
    this.#env = options.env ?? {};
    this.#agentArgs = options.agentArgs ?? [];
  }

  /** Starts everything and waits until every agent says that it runs. */
  static async start(lab: Lab, options: MeshOptions): Promise<Mesh> {
    const mesh = new Mesh(lab, options);
    await Promise.all([mesh.startControl(), mesh.startRelay()]);
    await Promise.all(options.agents.map((name) => mesh.startAgent(name)));
    return mesh;
  }

  /** The registration key with which hosts join. */
  get regKey(): string {
    return this.#regKey;
  }

  /** Starts the control plane, and a second STUN server beside it. */
  async startControl(): Promise<void> {
    const state = `${this.lab.dir}/control`;
    const process = await this.#spawn("control", "control", "control", [
      ...["--hostname", "control", "--certmode", "selfsigned", "--state-dir", state],
      ...["--certdir", `${state}/certs`, "--json"],
    ]);
    const line = await process.waitFor(/"service_url"/, START_MS);
    const { service_url, reg_key } = JSON.parse(line);
    // The key is told at the first start only.
    if (reg_key !== undefined) this.#regKey = `${service_url}#${reg_key}`;
    if (!this.parts.has("stun")) {
      const host = this.lab.host("control");
      const stun = await host.spawn(
        [Deno.execPath(), "run", "-A", INSIDE, "stun", host.address],
        { log: "stun" },
      );
      await stun.waitFor(/^ready$/, START_MS);
      this.parts.set("stun", stun);
    }
  }

  /**
   * Starts control plane, relay and STUN as one process on the control plane's host. Agents then join
   * by the line that it prints, and nothing else.
   *
   * @returns what it printed
   */
  async startServe(args: string[] = []): Promise<ServePrinted> {
    const state = `${this.lab.dir}/control`;
    const process = await this.#spawn("control", "control", "serve", [
      ...["--hostname", "control", "--certmode", "selfsigned", "--state-dir", state, "--json"],
      ...args,
    ]);
    const printed: ServePrinted = JSON.parse(await process.waitFor(/"service_url"/, START_MS));
    this.#joinLine = printed.join.split(" ").slice(1).map((word) => word.replaceAll("'", ""));
    this.#regKey = `${printed.service_url}#${printed.reg_key}`;
    return printed;
  }

  /** Starts the relay. */
  async startRelay(): Promise<void> {
    const dir = `${this.lab.dir}/relay`;
    const process = await this.#spawn("relay", "relay", "relay", [
      ...["--hostname", "relay", "--certmode", "selfsigned", "--certdir", dir],
      // The hosts of a lab share its processors: where the agents go first, so must what they wait for.
      ...["--realtime", "auto"],
      ...["-c", `${dir}/derper.key`, "--json"],
      // One process: a proof that searches the relay's memory must search all of it.
      ...["--workers", "1"],
    ]);
    await process.waitFor(/"listening"/, START_MS);
  }

  /**
   * Starts a DERP relay as a device of the VPC on an agent host, and waits until it listens. Its
   * part is named `relay-HOST`; its CA is published in its metadata.
   */
  async startVpcRelay(
    name: string,
    { hostname = name, args = [] }: VpcRelayStart = {},
  ): Promise<void> {
    const dir = `${this.lab.dir}/relay-${name}`;
    const process = await this.#spawn(`relay-${name}`, name, "relay", [
      ...["--hostname", hostname, "--certmode", "selfsigned", "--certdir", dir, "--onboard"],
      ...["-c", `${dir}/derper.key`, "--json", "--workers", "1", ...this.#joinArgs()],
      ...["--state-dir", `${dir}/state`, ...args],
    ]);
    await process.waitFor(/"listening"/, START_MS);
  }

  /** How a host finds and trusts the control plane. */
  #joinArgs(signIn = ["--reg-key", this.#regKey]): string[] {
    return [
      ...this.#joinLine ?? [...signIn, "--ca", `${this.lab.dir}/control/certs/ca.crt`],
      ...["--stun-server", `relay:${STUN_PORT}`, "--stun-server", `control:${STUN_PORT}`],
    ];
  }

  /** Starts the agent of a host and waits until it says that it runs. */
  async startAgent(name: string): Promise<void> {
    const { mode, args = [], signIn, env } = this.options.hosts?.[name] ?? {};
    const process = await this.#spawn(name, name, "agent", [
      ...(mode === undefined ? [] : [mode]),
      ...this.#joinArgs(signIn),
      ...this.#joinLine === undefined
        ? ["--relay-ca", `${this.lab.dir}/relay/ca.crt`, "--public-relay=relay:443"]
        : [],
      ...["--state-dir", `${this.lab.dir}/${name}`, "--unix-socket", this.socketOf(name)],
      ...this.#agentArgs,
      ...args,
    ], env);
    await this.#until(`agent ${name} to run`, START_MS, async () => {
      const status = await this.status(name).catch(() => undefined);
      if (status?.status === "Running") return true;
      if (process.running) return false;
      throw new LabError(
        `Cannot start agent ${name}: it ended; its output ends:\n  ${process.tail()}`,
      );
    });
  }

  /** Kills a part (`control`, `relay` or an agent's host) and returns when it is dead. */
  async kill(part: string, signal: Deno.Signal = "SIGKILL"): Promise<void> {
    const process = this.parts.get(part);
    if (!process) throw new LabError(`Cannot kill ${part}: it was never started`);
    process.kill(signal);
    await process.exited;
  }

  /** Kills a part if it runs, and starts it again with what it kept on disk. */
  async restart(part: string, signal: Deno.Signal = "SIGKILL"): Promise<void> {
    await this.kill(part, signal);
    if (part === "control") return await this.startControl();
    if (part === "relay") return await this.startRelay();
    await this.startAgent(part);
  }

  /** Path of an agent's control socket; it can be used from outside the lab too. */
  socketOf(name: string): string {
    return `${this.lab.dir}/${name}.sock`;
  }

  /** What an agent says about itself. */
  status(name: string): Promise<AgentStatus> {
    return describeAgent(this.socketOf(name));
  }

  /** `nexd status` as a user of that host reads it. */
  async statusText(name: string): Promise<string> {
    const { code, stdout, stderr } = await this.lab.host(name).run([
      ...this.#command("agent", this.#env),
      ...["status", "--unix-socket", this.socketOf(name)],
    ], { env: this.#env });
    if (code !== 0) throw new LabError(`Cannot show the status of ${name}: ${stderr.trim()}`);
    return stdout.trimEnd();
  }

  /** The tunnel address of an agent's host. */
  async tunnelIp(name: string): Promise<string> {
    return (await this.status(name)).tunnel_ipv4;
  }

  /** Waits until a host reaches a peer by one of the methods, with a handshake behind it. */
  async waitForPath(
    host: string,
    peer: string,
    methods: string | readonly string[],
    timeoutMs: number,
  ): Promise<AgentStatus["peers"][number]> {
    const wanted = typeof methods === "string" ? [methods] : methods;
    let last: AgentStatus["peers"][number] | undefined;
    await this.#until(
      () =>
        `${host} to reach ${peer} by ${wanted.join(" or ")} (${
          last ? `now ${last.method}, ${last.healthy ? "healthy" : "not healthy"}` : "no such peer"
        })`,
      timeoutMs,
      async () => {
        const status = await this.status(host).catch(() => undefined);
        last = status?.peers.find((p) => p.hostname === peer);
        return last !== undefined && wanted.includes(last.method) && last.healthy &&
          last.last_handshake_ms !== null;
      },
    );
    return last!;
  }

  /** Pings one host from another through the tunnel; of `count` echoes, how many came back. */
  async ping(from: string, to: string, { count = 20, intervalMs = 50 } = {}): Promise<PingResult> {
    const argv = ["ping", ...pingArguments(await this.tunnelIp(to), count, intervalMs)];
    const { stdout, stderr } = await this.lab.host(from).run(argv, {
      timeoutMs: PING_SLACK * count * intervalMs + 15_000,
    });
    return parsePing(stdout + stderr, count);
  }

  /** Runs iperf3 over TCP through the tunnel; the figure is what the receiver got. */
  async iperf(
    from: string,
    to: string,
    { seconds = 3, reverse = false } = {},
  ): Promise<IperfResult> {
    const address = await this.tunnelIp(to);
    const server = await this.lab.host(to).spawn(
      ["iperf3", "-s", "-1", "-B", address, "--forceflush"],
      { log: `iperf-${to}` },
    );
    try {
      await server.waitFor(/listening/, 5_000);
      const { stdout } = await this.lab.host(from).run([
        ...["iperf3", "-J", "-c", address, "-t", String(seconds)],
        ...["--connect-timeout", "5000", ...(reverse ? ["-R"] : [])],
      ], { timeoutMs: seconds * 1000 + 20_000 });
      return parseIperf(stdout);
    } finally {
      server.kill("SIGKILL");
      await server.exited;
    }
  }

  /** The relay's counters, by Prometheus name with labels. */
  async relayMetrics(): Promise<Map<string, number>> {
    const ca = `${this.lab.dir}/relay/ca.crt`;
    return parseMetrics(await this.#inside("relay", "metrics", "relay", ca));
  }

  /** Asks both STUN servers from a host: the NAT's kind as its packets show it. */
  async observeNat(name: string): Promise<NatObservation> {
    const servers = ["relay", "control"].map((n) => `${this.lab.host(n).address}:${STUN_PORT}`);
    const { port, seen } = JSON.parse(await this.#inside(name, "nat", ...servers));
    const open = seen.every((s: string) => s === `${this.lab.host(name).address}:${port}`);
    return { kind: seen[0] !== seen[1] ? "symmetric" : open ? "open" : "cone", seen };
  }

  async #inside(host: string, ...args: string[]): Promise<string> {
    const argv = [Deno.execPath(), "run", "-A", INSIDE, ...args];
    const { code, stdout, stderr } = await this.lab.host(host).run(argv, {
      env: { NO_COLOR: "1" },
    });
    if (code === 0) return stdout;
    throw new LabError(`Cannot learn ${args[0]} on ${host}: ${stderr.trim().split("\n")[0]}`);
  }

  /** What starts a part of the mesh. An executable unpacks itself into the lab's directory. */
  #command(task: Task, env: Record<string, string>): string[] {
    const executable = this.options.executable ?? Deno.env.get("NEXD_TEST_EXECUTABLE");
    return commandOf(task, executable, `${this.lab.dir}/unpacked`, env);
  }

  async #spawn(
    part: string,
    host: string,
    task: Task,
    args: string[],
    more: Record<string, string> = {},
  ): Promise<LabProcess> {
    const env = { NO_COLOR: "1", ...this.#env, ...more };
    const process = await this.lab.host(host).spawn([...this.#command(task, env), ...args], {
      env,
      log: part,
    });
    this.parts.set(part, process);
    return process;
  }

  async #until(
    what: string | (() => string),
    timeoutMs: number,
    done: () => Promise<boolean>,
  ): Promise<void> {
    const began = Date.now();
    while (!await done()) {
      if (Date.now() - began > underLoad(timeoutMs)) {
        const text = typeof what === "string" ? what : what();
        throw new LabError(`Cannot wait any longer than ${timeoutMs / 1000} s for ${text}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
