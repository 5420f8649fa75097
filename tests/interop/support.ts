/**
 * What the tests against programs of other projects share: where those programs are, how they are
 * started on a lab's host, and what they tell about themselves.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import type { Lab, LabProcess } from "../../scripts/lab/mod.ts";
import { cannotMesh } from "../../scripts/lab/support.ts";
import {
  parsePing,
  pingArguments,
  type PingResult,
  taskArguments,
} from "../../scripts/mesh/mod.ts";

const INSIDE = fileURLToPath(new URL("./inside.ts", import.meta.url));
/** The Go agent knows one public relay, and this is its name. */
const PUBLIC_RELAY = "relay.nexodus.io";
/** STUN of the ordinary kind, beside our own on 3478. */
const STUN_PORT = 19302;
const STUN_SERVERS = [`relay:${STUN_PORT}`, `control:${STUN_PORT}`];
/** What the Go agent says when it has its device. */
const DEVICE = /(registered|Reconnected as) device with UUID: \[ (\S+) \]/;
/** Longest a program may take to say that it is up, in ms. */
const START_MS = 20_000;

/**
 * The program that an environment variable names, if this machine can carry a mesh.
 *
 * @returns undefined, with the reason printed, when the test cannot run
 */
export async function programOf(variable: string, what: string): Promise<string | undefined> {
  const program = Deno.env.get(variable);
  if (program === undefined || program === "") {
    // deno-lint-ignore no-console -- a test's skip line
    console.log(`skip: ${variable} does not name ${what}`);
    return undefined;
  }
  return await cannotMesh() ? undefined : program;
}

/** Starts the reference relay on the relay's host, with a certificate of ours. */
export async function startDerper(lab: Lab, derper: string): Promise<LabProcess> {
  const dir = `${lab.dir}/relay`;
  await ensureSelfSigned(dir, ["relay"]);
  const process = await lab.host("relay").spawn([
    ...[derper, "-a", ":443", "-hostname", "relay", "-certmode", "manual", "-certdir", dir],
    ...["-c", `${dir}/derper.json`],
  ], { log: "derper" });
  await process.waitFor(/serving on :443 with TLS/, START_MS);
  return process;
}

/** Starts our relay under the public relay's name, and makes that name lead to it. */
export async function startPublicRelay(lab: Lab): Promise<LabProcess> {
  const dir = `${lab.dir}/relay`;
  const { address } = lab.host("relay");
  await Promise.all(
    lab.hosts.map((host) =>
      host.run(["sh", "-c", `echo "${address} ${PUBLIC_RELAY}" >>/etc/hosts`])
    ),
  );
  const process = await lab.host("relay").spawn([
    ...[Deno.execPath(), ...taskArguments("relay"), "--hostname", PUBLIC_RELAY],
    ...["--certmode", "selfsigned", "--certdir", dir, "-c", `${dir}/derper.key`, "--json"],
  ], { log: "relay", env: { NO_COLOR: "1" } });
  await process.waitFor(/"listening"/, START_MS);
  return process;
}

/** Starts STUN servers that answer any Binding request, on both servers; their processes. */
export function startPlainStun(lab: Lab): Promise<LabProcess[]> {
  return Promise.all(["relay", "control"].map(async (name) => {
    const host = lab.host(name);
    const process = await host.spawn(
      [Deno.execPath(), "run", "-A", INSIDE, "stun", host.address, String(STUN_PORT)],
      { log: `plain-stun-${name}`, env: { NO_COLOR: "1" } },
    );
    await process.waitFor(/^ready$/, START_MS);
    return process;
  }));
}

/** A peer as the Go agent tells it (`NexdCtl.ListPeers`). */
interface GoPeer {
  Endpoint: string;
  AllowedIPs: string[];
  Healthy: boolean;
}

/** A device as the control plane tells it; of its fields, those asked for here. */
export interface Device {
  id: string;
  hostname: string;
  public_key: string;
  online: boolean;
  symmetric_nat: boolean;
  endpoints: { source: string; address: string }[];
  ipv4_tunnel_ips: { address: string }[];
}

/** How to start a Go agent. */
export interface GoAgentOptions {
  /** `https://HOST#RK:…` */
  regKey: string;
  /** Flags by which it signs in, in place of the registration key's. */
  signIn?: string[];
  /** Not the ordinary STUN servers but these. */
  stunServers?: string[];
  /** Directories of the lab with a `ca.crt` that it trusts as well. */
  moreRoots?: string[];
}

/** The unmodified Go agent on a lab's host. */
export class GoAgent {
  #process: LabProcess | undefined;

  constructor(
    readonly lab: Lab,
    readonly program: string,
    readonly host: string,
    readonly options: GoAgentOptions,
  ) {}

  /**
   * Starts it with what it has kept, and waits until it runs.
   *
   * @returns its device's id, and whether it registered it (201) or took it up again (409, PATCH)
   */
  async start(...args: string[]): Promise<{ id: string; registered: boolean }> {
    const { dir } = this.lab;
    const roots = `${dir}/roots-${this.host}.pem`;
    const more = (this.options.moreRoots ?? []).map((root) => `${dir}/${root}/ca.crt`);
    const cas = [`${dir}/relay/ca.crt`, `${dir}/control/certs/ca.crt`, ...more];
    Deno.writeTextFileSync(roots, cas.map((path) => Deno.readTextFileSync(path)).join(""));
    const { regKey, signIn = ["--reg-key", regKey], stunServers = STUN_SERVERS } = this.options;
    this.#process = await this.lab.host(this.host).spawn([
      ...[this.program, ...signIn, "--state-dir", this.#stateDir],
      ...["--unix-socket", this.#socket],
      ...stunServers.flatMap((server) => ["--stun-server", server]),
      ...args,
    ], { log: `go-${this.host}`, env: { SSL_CERT_FILE: roots, NEXD_USE_WIREGUARD_GO: "1" } });
    const line = await this.#process.waitFor(DEVICE, START_MS);
    await this.#process.waitFor(/has reconciled state/, START_MS);
    const [, how, id] = line.match(DEVICE)!;
    return { id: id!, registered: how === "registered" };
  }

  /** Waits for a line of its output, once it was started. */
  async said(pattern: RegExp): Promise<string> {
    await until(
      `start of the Go agent on ${this.host}`,
      START_MS,
      () => Promise.resolve(this.#process !== undefined),
    );
    return await this.#process!.waitFor(pattern, START_MS);
  }

  /** Ends it as a service manager would; its keys and its interface stay. */
  async stop(): Promise<void> {
    this.#process?.kill("SIGTERM");
    await this.#process?.exited;
  }

  /** Forgets its keys. Only while it is stopped. */
  async wipe(): Promise<void> {
    await Deno.remove(this.#stateDir, { recursive: true });
  }

  /** Calls a method of its control socket (JSON-RPC 1.0); the result's text. */
  async call(method: string): Promise<string> {
    using conn = await Deno.connect({ transport: "unix", path: this.#socket });
    const request = JSON.stringify({ method: `NexdCtl.${method}`, params: [""], id: 1 });
    await conn.write(new TextEncoder().encode(request + "\n"));
    const decoder = new TextDecoder();
    const buf = new Uint8Array(16_384);
    for (let text = "", n; (n = await conn.read(buf)) !== null;) {
      text += decoder.decode(buf.subarray(0, n), { stream: true });
      if (!text.endsWith("\n")) continue;
      const { result, error } = JSON.parse(text);
      if (error !== null) throw new Error(`Cannot call ${method} of ${this.host}: ${error}`);
      return result;
    }
    throw new Error(`Cannot call ${method} of ${this.host}: it closed the connection`);
  }

  /** Its IPv4 address in the tunnel. */
  async tunnelIp(): Promise<string> {
    return (await this.call("GetTunnelIPv4")).trim();
  }

  /** Its peers by public key. */
  async peers(): Promise<Record<string, GoPeer>> {
    return JSON.parse(await this.call("ListPeers")).peers;
  }

  /** How it reaches its peers, by their tunnel address. */
  async methods(): Promise<Record<string, string>> {
    const { peers } = JSON.parse(await this.call("ConnectivityV4"));
    return Object.fromEntries(
      Object.entries<{ method: string }>(peers).map(([address, peer]) => [address, peer.method]),
    );
  }

  get #stateDir(): string {
    return `${this.lab.dir}/go-${this.host}`;
  }

  get #socket(): string {
    return `${this.lab.dir}/go-${this.host}.sock`;
  }
}

/** The devices that a registration key's holder sees. */
export async function devices(lab: Lab, regKey: string): Promise<Device[]> {
  const [url = "", token = ""] = regKey.split("#");
  const { code, stdout, stderr } = await lab.host("control").run([
    ...[Deno.execPath(), "run", "-A", INSIDE, "get"],
    `${url.replace("://", "://api.")}/api/devices`,
    token,
    `${lab.dir}/control/certs/ca.crt`,
  ], { env: { NO_COLOR: "1" } });
  if (code !== 0) throw new Error(`Cannot list the devices: ${stderr.trim()}`);
  return JSON.parse(stdout);
}

/** Pings an address from a host; of `count` echoes, how many came back. */
export async function ping(lab: Lab, from: string, to: string, count = 50): Promise<PingResult> {
  const { stdout, stderr } = await lab.host(from).run(["ping", ...pingArguments(to, count, 20)]);
  return parsePing(stdout + stderr, count);
}

/** Waits until something holds; looks every 100 ms. */
export async function until(
  what: string,
  timeoutMs: number,
  holds: () => Promise<boolean>,
): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; !await holds();) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
