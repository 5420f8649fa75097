/**
 * Two network namespaces joined by a cable, and a driver process in each: what the driver's tests
 * run on.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { HostCall } from "./host.ts";

/** The drivers that are tested on real interfaces. */
export type Driver = "kernel" | "wireguard-go";

/** Why the tests on real interfaces of a driver cannot run here; undefined when they can. */
export async function obstacle(driver: Driver): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "needs root";
  for (const tool of ["ip", driver === "kernel" ? "wg" : "wireguard-go", "ping"]) {
    const found = await run(["sh", "-c", `command -v ${tool}`]);
    if (found.code !== 0) return `needs ${tool}`;
  }
  const probe = `nexd-p${id()}`;
  if ((await run(["ip", "netns", "add", probe])).code !== 0) return "cannot make a namespace";
  try {
    if (driver === "kernel") {
      const link = ["link", "add", "dev", "wg0", "type", "wireguard"];
      if ((await run(["ip", "-n", probe, ...link])).code !== 0) return "needs kernel WireGuard";
    } else (await Deno.open("/dev/net/tun", { read: true, write: true })).close();
  } catch {
    return "needs /dev/net/tun";
  } finally {
    await run(["ip", "netns", "delete", probe]);
  }
  return undefined;
}

/** Runs a command to its end; bounded to 20 s. */
export async function run(
  argv: string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const output = await new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(20_000),
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: decode(output.stdout), stderr: decode(output.stderr) };
}

/** Six hex digits: interface names have 15 characters, and their sockets share one directory. */
export function id(): string {
  return crypto.getRandomValues(new Uint8Array(3)).toHex();
}

/** Waits until `test` gives something true, for at most `ms`. */
export async function until<T>(test: () => Promise<T>, what: string, ms = 15_000): Promise<T> {
  for (const end = Date.now() + ms;;) {
    const value = await test();
    if (value) return value;
    if (Date.now() > end) throw new Error(`Not within ${ms} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** A namespace with a driver process in it. */
export class TestHost {
  readonly namespace: string;
  /** Its end of the cable. */
  readonly address: string;
  /** Interface name for a device. */
  readonly device: string;
  #child: Deno.ChildProcess | undefined;
  #answers: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #text = "";
  readonly #decoder = new TextDecoder();

  constructor(namespace: string, address: string, device: string) {
    this.namespace = namespace;
    this.address = address;
    this.device = device;
  }

  run(...argv: string[]): ReturnType<typeof run> {
    return run(["ip", "netns", "exec", this.namespace, ...argv]);
  }

  /** Starts the driver process (again, after {@linkcode kill}). */
  start(): void {
    const script = fileURLToPath(new URL("./host.ts", import.meta.url));
    this.#child = new Deno.Command("ip", {
      args: ["netns", "exec", this.namespace, Deno.execPath(), "run", "-A", "--quiet", script],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#answers = this.#child.stdout.getReader();
    this.#text = "";
  }

  async call<T = unknown>(call: HostCall): Promise<T> {
    const writer = this.#child!.stdin.getWriter();
    await writer.write(new TextEncoder().encode(JSON.stringify(call) + "\n"));
    writer.releaseLock();
    const answer = await this.next();
    if (typeof answer.error === "string") throw new Error(answer.error);
    return answer.ok as T;
  }

  /** The next line the driver process says. */
  async next(): Promise<Record<string, unknown>> {
    const timer = setTimeout(() => this.#signal("SIGKILL"), 20_000);
    try {
      while (!this.#text.includes("\n")) {
        const { value, done } = await this.#answers!.read();
        if (done) throw new Error(`The driver in ${this.namespace} ended`);
        this.#text += this.#decoder.decode(value, { stream: true });
      }
    } finally {
      clearTimeout(timer);
    }
    const end = this.#text.indexOf("\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return JSON.parse(line);
  }

  /** Ends the driver process like a crash (SIGKILL), or by closing its standard input. */
  async end(how: "crash" | "close"): Promise<void> {
    if (!this.#child) return;
    if (how === "crash") this.#signal("SIGKILL");
    await this.#child.stdin.close().catch(() => {});
    await this.#answers!.cancel().catch(() => {});
    await this.#child.status;
    this.#child = undefined;
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#child!.kill(signal);
    } catch {
      // It has ended already.
    }
  }

  /** Process ids of wireguard-go in this namespace. */
  async daemons(): Promise<number[]> {
    const { stdout } = await run(["ip", "netns", "pids", this.namespace]);
    const pids = stdout.split("\n").filter(Boolean).map(Number);
    const names = await Promise.all(
      pids.map((pid) => Deno.readTextFile(`/proc/${pid}/comm`).catch(() => "")),
    );
    return pids.filter((_, i) => names[i]!.startsWith("wireguard-go"));
  }
}

/** The two hosts; disposing ends every process in them and removes them. */
export class TestNet implements AsyncDisposable {
  readonly a: TestHost;
  readonly b: TestHost;

  private constructor(key: string) {
    this.a = new TestHost(`nexd-a${key}`, "192.0.2.1", `nxa${key}`);
    this.b = new TestHost(`nexd-b${key}`, "192.0.2.2", `nxb${key}`);
  }

  static async create(): Promise<TestNet> {
    const net = new TestNet(id());
    const { a, b } = net;
    for (const host of [a, b]) await run(["ip", "netns", "add", host.namespace]);
    await a.run("ip", "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", b.namespace);
    for (const host of [a, b]) {
      await host.run("ip", "address", "add", `${host.address}/24`, "dev", "eth0");
      await host.run("ip", "link", "set", "eth0", "up");
      host.start();
    }
    return net;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const host of [this.a, this.b]) {
      await host.end("close");
      for (const pid of await host.daemons()) Deno.kill(pid, "SIGKILL");
      await run(["ip", "netns", "delete", host.namespace]);
      for (const path of ["/run/nexd/NAME.json", "/run/wireguard/NAME.sock"]) {
        await Deno.remove(path.replace("NAME", host.device)).catch(() => {});
      }
    }
  }
}
