/**
 * What the proxy spends: CPU per packet each way, for both captures.
 *
 * The proxy runs in a process of its own, so that its CPU time is read from the kernel; another
 * process plays WireGuard (in batches, by FFI) and the relay (over TLS). On few cores that one is
 * the limit: packets a second are then a lower bound, CPU per packet is not. Packets have 1312
 * bytes, a full one of a tunnel with the usual MTU of 1280.
 */
import { fileURLToPath } from "node:url";
import type { BenchRow } from "./table.ts";

/** How long and what. */
export interface ProxyBenchOptions {
  /** Seconds that each run is measured. Default 3 */
  seconds?: number;
}

/** One run. */
interface Run {
  capture: "linux" | "portable";
  direction: "out" | "in";
  peers: number;
  /** Packets per second; 0: as many as go. */
  rate: number;
}

/** Ticks of `/proc/PID/stat` in a second; the same on every Linux that Deno runs on. */
const TICKS = 100;

/** Before it is measured, a run goes on for this long: code is compiled, buffers are there. */
const WARM_SECONDS = 0.7;

/** Packets a second of the paced runs: about 210 Mbit/s of tunnel traffic. */
const PACED = 20_000;

const RUNS: Run[] = (["linux", "portable"] as const).flatMap((capture) =>
  (["out", "in"] as const).flatMap((direction) => [
    { capture, direction, peers: 1, rate: PACED },
    { capture, direction, peers: 1, rate: 0 },
    ...(capture === "linux" ? [{ capture, direction, peers: 16, rate: 0 }] : []),
  ])
);

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** A child process that answers a line with a line. */
export class Child implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  /** @param name the script; flags of V8 may stand before it */
  constructor(name: string | string[], ...args: string[]) {
    const [file, ...flags] = [name].flat().toReversed();
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", ...flags, script(file!), ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  get pid(): number {
    return this.#child.pid;
  }

  send(value: unknown): Promise<void> {
    return this.#writer.write(new TextEncoder().encode(JSON.stringify(value) + "\n"));
  }

  async line<T>(): Promise<T> {
    while (!this.#text.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("Cannot go on with the proxy bench: a process of it ended");
      this.#text += value;
    }
    const end = this.#text.indexOf("\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return JSON.parse(line) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#reader.cancel().catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 2000);
    await this.#child.status;
    clearTimeout(timer);
  }
}

/** CPU seconds of a process, in user and kernel mode. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** A UDP port that is free on every address. */
export function freePort(): number {
  const probe = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
  const { port } = probe.addr as Deno.NetAddr;
  probe.close();
  return port;
}

interface Status {
  peers: { txPackets: number; rxPackets: number }[];
  drops: Record<string, number>;
}

async function measure(run: Run, seconds: number): Promise<BenchRow[]> {
  await using load = new Child("./proxy_load.ts");
  const relay = await load.line<{ keys: string[] }>();
  const config = {
    ...relay,
    keys: relay.keys.slice(0, run.peers),
    capture: run.capture,
    loopbackPort: freePort(),
  };
  await using subject = new Child("./proxy_subject.ts", JSON.stringify(config));
  const endpoints = await subject.line<string[]>();
  const sample = async () => {
    const cpu = await cpuSeconds(subject.pid);
    await subject.send("status");
    const { peers, drops } = await subject.line<Status>();
    const packets = peers.reduce((n, p) => n + p.txPackets + p.rxPackets, 0) -
      (drops.queue_full ?? 0);
    return { cpu, packets, at: performance.now() };
  };
  await load.send({ ...run, seconds: WARM_SECONDS + seconds + 0.3, endpoints });
  await new Promise((resolve) => setTimeout(resolve, WARM_SECONDS * 1000));
  const before = await sample();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const after = await sample();
  await load.line();

  const packets = after.packets - before.packets;
  const way = run.direction === "out" ? "to the relay" : "from the relay";
  const many = run.peers === 1 ? "" : `, ${run.peers} peers`;
  const rate = run.rate === 0 ? "" : ` at ${run.rate / 1000} kpps`;
  const what = `proxy (${run.capture}) ${way}${many}${rate}`;
  const cost = { what, value: (after.cpu - before.cpu) / packets * 1e6, unit: "us CPU/packet" };
  if (run.rate > 0) return [cost];
  return [cost, { what, value: packets / (after.at - before.at), unit: "kpps" }];
}

/**
 * Measures the proxy, about 5 s a run. Needs Linux and FFI; without, there are no rows.
 */
export async function benchProxy({ seconds = 3 }: ProxyBenchOptions = {}): Promise<BenchRow[]> {
  if (Deno.build.os !== "linux") return [];
  const rows: BenchRow[] = [];
  for (const run of RUNS) rows.push(...await measure(run, seconds));
  return rows;
}

if (import.meta.main) {
  for (const { what, value, unit } of await benchProxy()) {
    await Deno.stdout.write(
      new TextEncoder().encode(`${what.padEnd(52)} ${value.toFixed(2).padStart(9)} ${unit}\n`),
    );
  }
}
