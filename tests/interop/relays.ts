/**
 * Relays of both kinds on the hosts of one lab, under one private CA, and what is run against them.
 *
 * @module
 */

import { ensureSelfSigned } from "../../relay/cert/mod.ts";
import { Lab, type LabProcess } from "../../scripts/lab/mod.ts";
import { cannotLab, skip } from "../../scripts/lab/support.ts";
import { taskArguments } from "../../scripts/mesh/mod.ts";

/** Longest start of a program, in ms. */
const START_MS = 20_000;
/** Longest run of the load generator or the prober, in ms. */
const RUN_MS = 60_000;

/** Clients come to any worker: so often until each pair of two and two has most likely been tried. */
const PASSES = 8;

/** The programs of others that a test needs. */
export type PeerName = "derper" | "derpprobe" | "derpload";

const VARIABLES: Record<PeerName, string> = {
  derper: "NEXD_TEST_DERPER",
  derpprobe: "NEXD_TEST_DERPPROBE",
  derpload: "NEXD_TEST_DERPLOAD",
};

/** How a relay takes part in a mesh. */
export interface RelayOptions {
  /** Relays it joins, by name. */
  meshWith?: string[];
  /** Its mesh key; the lab's if it joins anybody or `mesh` is set. */
  meshKey?: string;
  /** Knows the mesh key, though it joins nobody. */
  mesh?: boolean;
  /** Processes of one of ours; 2 by default. */
  workers?: number;
  /** Further flags. */
  args?: string[];
}

/** What the load generator says about its checks. */
export interface Verdict {
  ok: boolean;
  checks: number;
  failed?: Record<string, string>;
}

/**
 * Runs a test with relays of a lab whose hosts all know each other's names: `relay`, `control`, `a`
 * and, where more are asked for, `b` and so on.
 */
export async function withRelays(
  needed: PeerName[],
  test: (relays: Relays) => Promise<void>,
  hosts = 1,
): Promise<void> {
  const programs: Partial<Record<PeerName, string>> = {};
  for (const name of needed) {
    const path = Deno.env.get(VARIABLES[name]);
    if (path === undefined || path === "") {
      return skip(`${VARIABLES[name]} does not name ${name}: \`deno task peers\` builds it`);
    }
    programs[name] = path;
  }
  if (await cannotLab()) return;
  await using lab = await Lab.create({ hosts, nat: "open" });
  const relays = new Relays(lab, programs);
  await relays.prepare();
  await test(relays);
}

/** Relays of both kinds in one lab. */
export class Relays {
  readonly #dir: string;
  readonly #meshKey = crypto.getRandomValues(new Uint8Array(32)).toHex();
  /** The running ones, by their host's name. */
  readonly running = new Map<string, LabProcess>();

  constructor(
    readonly lab: Lab,
    readonly programs: Partial<Record<PeerName, string>>,
  ) {
    this.#dir = `${lab.dir}/relays`;
  }

  /** PEM of the CA of all of them. */
  get ca(): string {
    return `${this.#dir}/ca.crt`;
  }

  /** Tells every host all names, and makes the certificates. */
  async prepare(): Promise<void> {
    const names = this.lab.hosts.map((host) => `${host.address} ${host.name}`).join("\n");
    for (const host of this.lab.hosts) {
      await host.run(["sh", "-c", "cat >>/etc/hosts"], { input: names + "\n" });
      await ensureSelfSigned(this.#dir, [host.name]);
    }
  }

  /** Starts ours on a host, under the host's name. */
  async startOurs(name: string, options: RelayOptions = {}): Promise<LabProcess> {
    const { meshWith = [], args = [], workers = 2 } = options;
    const psk = await this.#pskFile(name, options);
    return await this.#start(name, /"listening"/, [
      ...[Deno.execPath(), ...taskArguments("relay"), "--hostname", name, "--json"],
      ...["--workers", `${workers}`],
      ...["--certmode", "selfsigned", "--certdir", this.#dir, "-c", `${this.#dir}/${name}.derper`],
      ...(psk === undefined ? [] : ["--mesh-psk-file", psk, "--mesh-ca", this.ca]),
      ...(meshWith.length === 0 ? [] : ["--mesh-with", meshWith.join(",")]),
      // Short, because a socket's path has to be; no two of the lab's hosts begin alike.
      ...["--run-dir", `${this.lab.dir}/${name[0]}`],
      ...args,
    ]);
  }

  /** Starts the reference relay on a host, under the host's name. */
  async startDerper(name: string, options: RelayOptions = {}): Promise<LabProcess> {
    const { meshWith = [], args = [] } = options;
    const psk = await this.#pskFile(name, options);
    return await this.#start(name, /serving on :443 with TLS/, [
      ...[this.programs.derper!, "-a", ":443", "-hostname", name, "-certmode", "manual"],
      ...["-certdir", this.#dir, "-c", `${this.#dir}/${name}.derper`],
      ...(psk === undefined ? [] : ["-mesh-psk-file", psk]),
      ...(meshWith.length === 0 ? [] : ["-mesh-with", meshWith.join(",")]),
      ...args,
    ]);
  }

  /** Ends a relay at once. */
  async kill(name: string): Promise<void> {
    const process = this.running.get(name);
    process?.kill("SIGKILL");
    await process?.exited;
    this.running.delete(name);
  }

  /** Runs the load generator on a host against a relay; its one line of JSON. */
  async load(from: string, relay: string, mode: string[]): Promise<Record<string, unknown>> {
    const { stdout, stderr } = await this.lab.host(from).run(
      [this.programs.derpload!, "-url", `https://${relay}/derp`, ...mode],
      { env: { SSL_CERT_FILE: this.ca }, timeoutMs: RUN_MS },
    );
    if (stdout.trim() === "") throw new Error(`Cannot load ${relay}: ${stderr.trim()}`);
    return JSON.parse(stdout);
  }

  /** What clients at `relay` are owed, with receivers at `other` if it is named. */
  async verify(relay: string, other?: string, ...args: string[]): Promise<Verdict> {
    const across = other === undefined ? [] : ["-other", `https://${other}/derp`];
    return await this.load("a", relay, ["verify", "-n", "300", ...across, ...args]) as
      & Record<string, unknown>
      & Verdict;
  }

  /**
   * Waits until packets pass from clients of one relay to those of another, several times in a row:
   * each worker has a link of its own. One that found the other relay absent tries again after 5 s.
   */
  async passes(from: string, to: string, withinMs = 15_000): Promise<void> {
    for (let [deadline, row] = [Date.now() + withinMs, 0];;) {
      const { ok, failed } = await this.verify(from, to, "-only", "sizes", "-patience", "2s");
      row = ok ? row + 1 : 0;
      if (row === PASSES) return;
      if (ok || Date.now() < deadline) continue;
      const why = JSON.stringify(failed);
      throw new Error(`packets from ${from} to ${to} not within ${withinMs} ms: ${why}`);
    }
  }

  /** Runs the reference prober once against relays as one region; what it found bad. */
  async probe(names: string[]): Promise<{ good: string[]; bad: string[]; output: string }> {
    const nodes = names.map((name, i) => ({
      Name: `901${String.fromCharCode(97 + i)}`,
      RegionID: 901,
      HostName: name,
      IPv4: this.lab.host(name).address,
    }));
    const region = { RegionID: 901, RegionCode: "lab", RegionName: "Lab", Nodes: nodes };
    const map = `${this.#dir}/map-${names.join("-")}.json`;
    Deno.writeTextFileSync(map, JSON.stringify({ Regions: { 901: region } }));
    const { stdout, stderr } = await this.lab.host("a").run([
      ...[this.programs.derpprobe!, "-once", "-spread=false", "-derp-map", `file://${map}`],
      ...["-bw-interval", "15s", "-bw-probe-size-bytes", "4000000"],
    ], { env: { SSL_CERT_FILE: this.ca }, timeoutMs: RUN_MS });
    const output = stdout + stderr;
    const found = (kind: string) =>
      [...output.matchAll(new RegExp(` ${kind}: (.*)$`, "gm"))].map((match) => match[1]!);
    return { good: found("good"), bad: found("bad"), output };
  }

  async #start(name: string, ready: RegExp, argv: string[]): Promise<LabProcess> {
    const process = await this.lab.host(name).spawn(argv, {
      log: `${name}-${crypto.randomUUID().slice(0, 8)}`,
      env: { SSL_CERT_FILE: this.ca, NO_COLOR: "1" },
    });
    await process.waitFor(ready, START_MS);
    this.running.set(name, process);
    return process;
  }

  async #pskFile(name: string, options: RelayOptions): Promise<string | undefined> {
    const { meshWith = [], mesh = meshWith.length > 0, meshKey } = options;
    if (!mesh && meshKey === undefined) return undefined;
    const path = `${this.#dir}/${name}.psk`;
    await Deno.writeTextFile(path, (meshKey ?? this.#meshKey) + "\n", { mode: 0o600 });
    return path;
  }
}
