/**
 * Relays as processes of their own, started as their task does, and clients of them.
 *
 * @module
 */
import { upgradeRequest } from "../relay/derp/mod.ts";
import { TestClient } from "../relay/server/testing.ts";
import { taskArguments } from "../scripts/mesh/mod.ts";

/** What a relay prints when it serves. */
export interface Said {
  listening: string;
  workers: number;
  replaces: boolean;
  pid: number;
  stun?: number;
  http_port?: number;
  public_key: string;
  ca?: string;
}

const START_MS = 30_000;

/** Directory of a relay's key and certificates; relays that replace each other share it. */
export class RelayFiles implements AsyncDisposable {
  private constructor(readonly directory: string) {}

  static async make(): Promise<RelayFiles> {
    return new RelayFiles(await Deno.makeTempDir());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** A running relay. Killed at the end when it has not ended. */
export class RelayProcess implements AsyncDisposable {
  /** Everything it has written to standard error. */
  log = "";
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #waiting = new Set<() => void>();
  said!: Said;
  #ended = false;

  /** Starts a relay and waits until it serves. */
  static async start(
    { directory }: RelayFiles,
    args: string[] = [],
    env: Record<string, string> = {},
  ): Promise<RelayProcess> {
    const relay = new RelayProcess(
      new Deno.Command(Deno.execPath(), {
        args: [
          ...taskArguments("relay"),
          ...["--json", "--hostname", "localhost", "--certmode", "selfsigned"],
          ...["--certdir", `${directory}/certs`, "-c", `${directory}/derper.key`],
          ...["--run-dir", `${directory}/run`, "--http-port", "-1", "--stun=false"],
          ...["--addr", "127.0.0.1:0"],
          ...args,
        ],
        env: { NO_COLOR: "1", ...env },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
    let out = "";
    const timer = setTimeout(() => relay.kill(), START_MS);
    for await (const chunk of relay.#process.stdout.pipeThrough(new TextDecoderStream())) {
      out += chunk;
      if (out.includes("\n")) break;
    }
    clearTimeout(timer);
    if (!out.includes("\n")) {
      await relay[Symbol.asyncDispose]();
      throw new Error(`the relay did not start: ${relay.log}`);
    }
    relay.said = JSON.parse(out.slice(0, out.indexOf("\n")));
    return relay;
  }

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#reading = this.#read();
    void process.status.then(() => {
      this.#ended = true;
      this.#wake();
    });
  }

  async #read(): Promise<void> {
    for await (const chunk of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
      this.log += chunk;
      this.#wake();
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  get port(): number {
    return Number(this.said.listening.split(":").at(-1));
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Waits until its log matches, `times` times. */
  async logs(pattern: RegExp, times = 1): Promise<void> {
    const all = new RegExp(pattern, "g");
    while ((this.log.match(all)?.length ?? 0) < times) {
      if (this.#ended) throw new Error(`the relay ended; it logged: ${this.log}`);
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** Process ids of its workers. */
  async workers(): Promise<number[]> {
    const path = `/proc/${this.pid}/task/${this.pid}/children`;
    const direct = (await Deno.readTextFile(path)).trim();
    // Threads other than the first may have started some.
    const all: number[] = direct === "" ? [] : direct.split(" ").map(Number);
    for await (const { name } of Deno.readDir(`/proc/${this.pid}/task`)) {
      if (name === String(this.pid)) continue;
      const more = (await Deno.readTextFile(`/proc/${this.pid}/task/${name}/children`)).trim();
      if (more !== "") all.push(...more.split(" ").map(Number));
    }
    return all.sort((a, b) => a - b);
  }

  kill(signal: Deno.Signal = "SIGKILL"): void {
    try {
      this.#process.kill(signal);
    } catch {
      // It has ended.
    }
  }

  /** Its end. */
  async ended(): Promise<{ code: number; signal: string | null }> {
    const { code, signal } = await this.#process.status;
    await this.#reading;
    return { code, signal };
  }

  /** A TLS connection to it. */
  async connect(): Promise<Deno.TlsConn> {
    const caCerts = [await Deno.readTextFile(this.said.ca!)];
    return await Deno.connectTls({ hostname: "localhost", port: this.port, caCerts });
  }

  /** A logged-in client. */
  async client(privateKey?: Uint8Array): Promise<TestClient> {
    const socket = await this.connect();
    const client = new TestClient(socket, privateKey);
    await client.send(upgradeRequest("localhost"));
    const one = new Uint8Array(1);
    let head = "";
    while (!head.endsWith("\r\n\r\n")) {
      if (await socket.read(one) === null) throw new Error(`end of stream after "${head}"`);
      head += String.fromCharCode(one[0]!);
    }
    await client.login();
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#process.stdout.cancel().catch(() => {});
    await this.ended();
  }
}
