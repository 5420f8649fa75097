/** The control plane as its command starts it, in a process of its own. */
import type { State } from "./place.ts";
import type { Target } from "./wire.ts";
import { Wire } from "./wire.ts";

const HOST = "bench.test";
const ROOT = new URL("../../../", import.meta.url);

/** What the first start prints. */
interface Printed {
  reg_key?: string;
  ca: string;
}

/** A running control plane. */
export class Server implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly target: Target;
  /** From the start of the process to its first answer. */
  readonly startMs: number;
  /** At the first start only. */
  readonly regKey: string;

  private constructor(child: Deno.ChildProcess, target: Target, startMs: number, regKey: string) {
    this.#child = child;
    this.target = target;
    this.startMs = startMs;
    this.regKey = regKey;
  }

  /** Starts one and waits until it answers. */
  static async start({ dir, databaseUrl }: State, port: number): Promise<Server> {
    const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
    const args = (tasks["control"] as string).split(" ").slice(1);
    const start = performance.now();
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...args,
        ...["--hostname", HOST, "--addr", `127.0.0.1:${port}`, "--state-dir", dir, "--json"],
        // All clients are one address.
        ...["--rate-limit", "off"],
      ],
      ...(databaseUrl === undefined ? {} : { env: { NEXD_DATABASE_URL: databaseUrl } }),
      cwd: ROOT,
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    try {
      const printed = JSON.parse(await firstLine(child.stdout)) as Printed;
      const target = { port, host: `api.${HOST}`, ca: await Deno.readTextFile(printed.ca) };
      using wire = await Wire.connect(target);
      await wire.ask(new TextEncoder().encode("GET /private/ready HTTP/1.1\r\nhost: x\r\n\r\n"));
      return new Server(child, target, performance.now() - start, printed.reg_key ?? "");
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  /** Resident memory, bytes. */
  async rss(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.#child.pid}/status`);
    return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024;
  }

  /** CPU seconds so far. */
  async cpu(): Promise<number> {
    const stat = await Deno.readTextFile(`/proc/${this.#child.pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    await this.#child.status;
    clearTimeout(timer);
  }
}

async function firstLine(stdout: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let text = "";
  const reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error("Cannot bench the control plane: it did not start");
    text += value;
  }
  reader.releaseLock();
  return text;
}
