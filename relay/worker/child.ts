/** The supervisor's side of a worker in a process of its own. */
import type { AlpnChallenge } from "../cert/mod.ts";
import type { RelaySnapshot } from "../state/mod.ts";
import type {
  ListenAddress,
  RateLimit,
  Restart,
  ServedCertificate,
  WholeRelay,
  Worker,
  WorkerConfig,
} from "./config.ts";
import { Rpc } from "./rpc.ts";

/** How to start this program's hidden worker command. */
export interface WorkerCommand {
  /** The runtime, or the compiled executable itself. */
  executable: string;
  args: string[];
  /** Processes that run already and wait to be told what to do; see {@linkcode startAhead}. */
  waiting?: Deno.ChildProcess[];
}

const SECRETS = ["NEXD_REG_KEY", "NEXD_DERP_ACME_EAB_KEY"];

/** Loading the program and opening the port. */
const START_MS = 30_000;
/** Everything else is quick; a worker that does not answer within this is stuck. */
const CALL_MS = 10_000;
const SNAPSHOT_MS = 1_000;
/** From being told to end until it is killed. */
const END_MS = 5_000;

/**
 * Starts processes for workers that will be wanted: they load while the supervisor does. End those
 * that were never wanted with {@linkcode endWaiting}.
 */
export function startAhead(command: WorkerCommand, count: number): WorkerCommand {
  return { ...command, waiting: Array.from({ length: count }, () => spawn(command)) };
}

/** Ends the processes of {@linkcode startAhead} that became no worker. */
export async function endWaiting({ waiting = [] }: WorkerCommand): Promise<void> {
  for (const process of waiting.splice(0)) {
    await Promise.all([process.stdin.close(), process.stdout.cancel(), process.status]);
  }
}

function spawn({ executable, args }: WorkerCommand): Deno.ChildProcess {
  return new Deno.Command(executable, {
    args,
    // Secrets that it has no use for.
    env: Object.fromEntries(SECRETS.map((name) => [name, ""])),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit", // its log lines stand beside the supervisor's
  }).spawn();
}

export class ChildWorker implements Worker {
  readonly name: string;
  readonly ended: Promise<string>;
  readonly pid: number;
  #address: ListenAddress = { hostname: "", port: 0 };
  readonly #process: Deno.ChildProcess;
  readonly #rpc: Rpc;

  /**
   * Starts the process and has it listen.
   *
   * @param whole what the worker's pages are told of the whole relay
   * @throws RelayError what the worker could not do, or that it did not start
   */
  static async start(
    command: WorkerCommand,
    config: WorkerConfig,
    whole: WholeRelay,
  ): Promise<ChildWorker> {
    const worker = new ChildWorker(command, config.name, whole);
    try {
      worker.#address = await worker.#rpc.call("start", config, START_MS) as ListenAddress;
      return worker;
    } catch (error) {
      worker.kill();
      await worker.ended;
      throw error;
    }
  }

  private constructor(command: WorkerCommand, name: string, whole: WholeRelay) {
    this.name = name;
    this.#process = command.waiting?.pop() ?? spawn(command);
    this.pid = this.#process.pid;
    this.#rpc = new Rpc(this.#process.stdout, this.#process.stdin, {
      state: () => whole.state(),
      check: () => whole.check(),
    });
    this.ended = this.#process.status.then(async ({ code, signal }) => {
      await this.#rpc.closed;
      return signal === null ? `exit status ${code}` : `signal ${signal}`;
    });
  }

  get address(): ListenAddress {
    return this.#address;
  }

  async join(directory: string): Promise<void> {
    await this.#call("join", directory);
  }

  async setCertificate(certificate: ServedCertificate): Promise<void> {
    await this.#call("setCertificate", certificate);
  }

  async setChallenge(challenge: AlpnChallenge | undefined): Promise<void> {
    await this.#call("setChallenge", challenge ?? null);
  }

  async setKeys(hex: string[]): Promise<void> {
    await this.#call("setKeys", hex);
  }

  async setRate(rate: RateLimit | undefined): Promise<void> {
    await this.#call("setRate", rate ?? null);
  }

  async reload(): Promise<void> {
    await this.#call("reload", null);
  }

  async snapshot(): Promise<RelaySnapshot> {
    return await this.#call("snapshot", null, SNAPSHOT_MS) as RelaySnapshot;
  }

  async check(): Promise<string[]> {
    return await this.#call("check", null, SNAPSHOT_MS) as string[];
  }

  async stopAccepting(): Promise<void> {
    await this.#call("stopAccepting", null);
  }

  async announceRestart(restart: Restart): Promise<number> {
    return await this.#call("announceRestart", restart) as number;
  }

  /** Tells it to end, and kills it when it does not. */
  async end(): Promise<void> {
    this.#call("end", null).catch(() => {});
    // Before all that is on its way to it has to be taken: it may take nothing any more.
    const timer = setTimeout(() => this.kill(), END_MS);
    await this.#rpc.close();
    await this.ended;
    clearTimeout(timer);
  }

  kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  #call(name: string, argument: unknown, timeoutMs = CALL_MS): Promise<unknown> {
    return this.#rpc.call(name, argument, timeoutMs);
  }
}
