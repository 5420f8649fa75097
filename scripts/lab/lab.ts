import { isHeld, labDir, labId, makeLabDir, removeStaleDirs } from "./dirs.ts";
import { LabError } from "./errors.ts";
import { enterFlags, type Holder, startHolder } from "./holder.ts";
import { isAlive, signal, startTimeOf } from "./proc.ts";
import {
  type LabProcess,
  runIn,
  type RunOptions,
  type RunResult,
  spawnIn,
  type SpawnOptions,
} from "./process.ts";
import {
  type HostPlan,
  MAX_HOSTS,
  MIN_HOSTS,
  NAT_KINDS,
  type NatKind,
  planTopology,
} from "./topology.ts";

/** What a lab is made of. */
export interface LabOptions {
  /** Agent hosts, 1 to 16; named `a`, `b`, … */
  hosts: number;
  /** One kind for all routers, or one for each. */
  nat: NatKind | readonly NatKind[];
}

/** A machine of the lab. */
export interface Host {
  readonly name: string;
  /** IPv4 address on its own link. */
  readonly address: string;
  /** IPv4 address others see. */
  readonly publicAddress: string;
  /** The command that enters it from outside. */
  readonly enterCommand: string;
  /** Runs one command to its end. */
  run(argv: string[], options?: RunOptions): Promise<RunResult>;
  /** Starts a process that lives until it is killed or the lab ends. */
  spawn(argv: string[], options?: SpawnOptions): Promise<LabProcess>;
}

/** What `lab.json` in a lab's directory holds, for whoever ends a kept lab. */
interface LabRecord {
  /** The first process inside, by outer pid, and when it started: pids are used again. */
  init: number;
  startTime: number | undefined;
}

/**
 * A network on this machine: agent hosts behind routers, a control host and a relay host, every one
 * with its own network, mounts (/run, /etc/hosts, /etc/resolv.conf) and host name. Needs root or
 * user namespaces, and no daemon; several labs live side by side.
 *
 * @example
 * ```ts
 * await using lab = await Lab.create({ hosts: 2, nat: "symmetric" });
 * const { stdout } = await lab.host("a").run(["ping", "-c1", "relay"]);
 * ```
 */
export class Lab {
  readonly #holder: Holder;
  readonly #lock: Deno.FsFile;
  readonly #hosts: Map<string, Host>;
  readonly #spawned: LabProcess[] = [];
  #ended = false;

  /** Its directory, private to this user: logs in `log/`, room for everything else. */
  readonly dir: string;
  /** Names it among kept labs. */
  readonly id: string;

  private constructor(dir: string, lock: Deno.FsFile, holder: Holder, plans: HostPlan[]) {
    this.dir = dir;
    this.id = labId(dir);
    this.#lock = lock;
    this.#holder = holder;
    this.#hosts = new Map(plans.map((plan) => [plan.name, this.#makeHost(plan)]));
  }

  /**
   * Builds a lab; first removes what labs that were killed left behind.
   *
   * @throws {LabError} when this machine does not allow it, with the remedy
   */
  static async create({ hosts, nat }: LabOptions): Promise<Lab> {
    if (!Number.isInteger(hosts) || hosts < MIN_HOSTS || hosts > MAX_HOSTS) {
      throw new LabError(
        `Cannot make a lab of ${hosts} hosts: choose ${MIN_HOSTS} to ${MAX_HOSTS}`,
      );
    }
    const nats = Array.from({ length: hosts }, (_, i) => typeof nat === "string" ? nat : nat[i]);
    const plan = planTopology(nats.map((kind) => {
      if (kind !== undefined && NAT_KINDS.includes(kind)) return kind;
      throw new LabError(`Cannot make a NAT of kind ${kind}: choose ${NAT_KINDS.join(", ")}`);
    }));
    removeStaleDirs();
    const { dir, lock } = makeLabDir();
    try {
      const holder = await startHolder(dir, plan);
      const record: LabRecord = { init: holder.init, startTime: startTimeOf(holder.init) };
      Deno.writeTextFileSync(`${dir}/lab.json`, JSON.stringify(record));
      return new Lab(dir, lock, holder, plan.hosts);
    } catch (error) {
      lock.close();
      Deno.removeSync(dir, { recursive: true });
      throw error;
    }
  }

  /**
   * Ends a kept lab by its id.
   *
   * @throws {LabError} when there is none, or when it belongs to a program that still runs it
   */
  static async end(id: string): Promise<void> {
    const dir = labDir(id);
    let record: LabRecord;
    try {
      if (!/^\w+$/.test(id)) throw new Error("not an id");
      record = JSON.parse(Deno.readTextFileSync(`${dir}/lab.json`));
    } catch {
      throw new LabError(`Cannot end lab ${id}: there is no such lab of this user`);
    }
    const lives = () =>
      record.startTime !== undefined && startTimeOf(record.init) === record.startTime;
    if (lives()) signal(record.init, "SIGKILL"); // its end is over when all inside are gone
    for (let wait = 0; (lives() || isHeld(dir)) && wait < 500; wait++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (isHeld(dir)) {
      throw new LabError(`Cannot end lab ${id}: its program still runs; stop that with Ctrl-C`);
    }
    Deno.removeSync(dir, { recursive: true });
  }

  /**
   * The host with this name: `a`, `b`, …, `control` or `relay`.
   *
   * @throws {LabError} when there is none
   */
  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host) return host;
    throw new LabError(`Cannot find host ${name}: there are ${[...this.#hosts.keys()].join(", ")}`);
  }

  /** All hosts, servers first. */
  get hosts(): Host[] {
    return [...this.#hosts.values()];
  }

  /** The lab's first process by our pid numbers: an ancestor of all that runs in it. */
  get initPid(): number {
    return this.#holder.init;
  }

  /** Whether the lab still stands. */
  get alive(): boolean {
    return !this.#ended && isAlive(this.#holder.init);
  }

  /** Leaves the lab standing when this program ends; {@linkcode Lab.end} ends it then. */
  async keep(): Promise<void> {
    await this.#holder.keep();
    this.#ended = true;
    this.#lock.close();
  }

  /** Kills everything in the lab and removes its directory. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    for (const process of this.#spawned) process.release(); // or nobody would reap it
    await this.#holder.end();
    this.#lock.close();
    Deno.removeSync(this.dir, { recursive: true });
  }

  #makeHost(plan: HostPlan): Host {
    const pid = this.#holder.hosts[plan.name]!;
    return {
      name: plan.name,
      address: plan.address,
      publicAddress: plan.publicAddress,
      enterCommand: `nsenter ${enterFlags(pid).join(" ")}`,
      run: (argv, options) => runIn(pid, argv, options),
      spawn: async (argv, { log, env } = {}) => {
        const number = this.#spawned.length + 1;
        const name = log ?? `${plan.name}-${argv[0]?.split("/").at(-1)}-${number}`;
        const process = await spawnIn(pid, argv, `${this.dir}/log/${name}.log`, env);
        this.#spawned.push(process);
        return process;
      },
    };
  }
}
