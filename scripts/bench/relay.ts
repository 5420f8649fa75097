/**
 * What the relay spends: CPU per forwarded frame, per login, and memory per idle connection.
 *
 * The relay runs in a process of its own, so that its CPU time is read from the kernel; the clients
 * run in another and write raw frames over TLS, 16 to a write as a batching agent does. On few
 * cores the clients are the limit: frames a second are then a lower bound, CPU per frame is not.
 */

import config from "../../deno.json" with { type: "json" };

/** One line of the table. */
export interface BenchRow {
  /** What was measured, e.g. "relay, 16 pairs". */
  what: string;
  value: number;
  unit: string;
}

/** How long and how much. */
export interface RelayBenchOptions {
  /** Seconds of each forwarding run. Default 3 */
  seconds?: number;
  /** Connections of the idle run. Default 500 */
  idle?: number;
  /** Logins of the login run. Default 300 */
  logins?: number;
}

interface Started {
  child: Deno.ChildProcess;
  port: number;
  ca: string;
}

const script = (name: string) => new URL(name, import.meta.url).pathname;

/** Ticks of `/proc/PID/stat` in a second; the same on every Linux that Deno runs on. */
const TICKS = 100;

/** CPU seconds and resident bytes of a process. */
async function usage(pid: number): Promise<{ cpu: number; rss: number }> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  return { cpu: (Number(fields[11]) + Number(fields[12])) / TICKS, rss };
}

/** The engine's flags that `deno task relay` runs with, so that what is measured is what runs. */
function relayFlags(): string[] {
  return config.tasks.relay.split(" ").filter((word) => word.startsWith("--v8-flags="));
}

function spawn(name: string, args: string[], flags: string[] = []): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", ...flags, script(name), ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

/** Reads a child's output line by line. */
function lines(child: Deno.ChildProcess): () => Promise<string> {
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return async () => {
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the process of the bench ended");
      text += value;
    }
    const end = text.indexOf("\n");
    const line = text.slice(0, end);
    text = text.slice(end + 1);
    return line;
  };
}

async function end(child: Deno.ChildProcess): Promise<void> {
  await child.stdin.close().catch(() => {}); // Both processes end with their input.
  await child.status;
}

async function startRelay(directory: string): Promise<Started> {
  const child = spawn("relay_server.ts", [directory], relayFlags());
  const { port, ca } = JSON.parse(await lines(child)());
  return { child, port, ca };
}

/** Runs the clients in one mode; `measure` is called between their "ready" and their result. */
async function load<T>(
  relay: Started,
  mode: string[],
  measure: (result: () => Promise<Record<string, number>>) => Promise<T>,
): Promise<T> {
  const child = spawn("relay_load.ts", [String(relay.port), relay.ca, ...mode]);
  const next = lines(child);
  try {
    await next();
    return await measure(async () => JSON.parse(await next()));
  } finally {
    await end(child);
  }
}

/** CPU per frame and frames a second through a number of pairs. */
function forward(relay: Started, pairs: number, seconds: number): Promise<BenchRow[]> {
  return load(relay, ["bulk", String(pairs), String(seconds)], async (result) => {
    const before = await usage(relay.child.pid);
    const { frames, ms } = await result() as { frames: number; ms: number };
    const { cpu } = await usage(relay.child.pid);
    const what = `relay, ${pairs} ${pairs === 1 ? "pair" : "pairs"}`;
    return [
      { what, value: (cpu - before.cpu) / frames * 1e6, unit: "CPU us/frame" },
      { what, value: frames / ms, unit: "kframes/s" },
    ];
  });
}

function logins(relay: Started, count: number): Promise<BenchRow[]> {
  return load(relay, ["logins", String(count)], async (result) => {
    const before = await usage(relay.child.pid);
    const { ms } = await result() as { ms: number };
    const { cpu } = await usage(relay.child.pid);
    return [
      { what: "relay, login", value: (cpu - before.cpu) / count * 1e3, unit: "CPU ms" },
      { what: "relay, login", value: count / ms * 1e3, unit: "logins/s" },
    ];
  });
}

function idle(relay: Started, count: number): Promise<BenchRow[]> {
  return load(relay, ["idle", String(count)], async (result) => {
    const before = await usage(relay.child.pid);
    await result();
    const { rss } = await usage(relay.child.pid);
    return [{
      what: "relay, idle connection",
      value: (rss - before.rss) / count / 1024,
      unit: "KiB",
    }];
  });
}

/** Measures the relay. About 20 seconds with the defaults. */
export async function benchRelay(options: RelayBenchOptions = {}): Promise<BenchRow[]> {
  const { seconds = 3, idle: idleCount = 500, logins: loginCount = 300 } = options;
  const directory = await Deno.makeTempDir({ prefix: "nexd-bench-relay-" });
  const rows: BenchRow[] = [];
  try {
    const relay = await startRelay(directory);
    try {
      // Logins first: they warm the allocator up, which the idle run must not pay for.
      rows.push(...await logins(relay, loginCount));
      rows.push(...await idle(relay, idleCount));
      for (const pairs of [1, 16]) rows.push(...await forward(relay, pairs, seconds));
    } finally {
      await end(relay.child);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  return rows;
}

if (import.meta.main) {
  for (const { what, value, unit } of await benchRelay()) {
    // deno-lint-ignore no-console -- what this process prints is its result
    console.log(`${what.padEnd(28)} ${value.toFixed(2).padStart(10)} ${unit}`);
  }
}
