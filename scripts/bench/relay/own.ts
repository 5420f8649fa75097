/**
 * The relay under clients of our own, for machines without Go: CPU per forwarded frame and per
 * login, memory per idle connection.
 *
 * The clients run in a process of their own and write raw frames over TLS, 16 to a write as a
 * batching agent does. On few cores they are the limit: frames a second are then a lower bound, CPU
 * per frame is not.
 */

import { fileURLToPath } from "node:url";
import type { BenchRow } from "../table.ts";
import { startOurs, type Subject } from "./subjects.ts";

/** How long and how much. */
export interface OwnOptions {
  /** Seconds of each forwarding run. Default 3 */
  seconds?: number;
  /** Connections of the idle run. Default 500 */
  idle?: number;
  /** Logins of the login run. Default 300 */
  logins?: number;
}

const LOAD = fileURLToPath(new URL("./own_load.ts", import.meta.url));
/** Ticks of `/proc/PID/stat` in a second; the same on every Linux that Deno runs on. */
const TICKS = 100;

/** CPU seconds and resident bytes of a relay. */
async function usage(relay: Subject): Promise<{ cpu: number; rss: number }> {
  const sum = { cpu: 0, rss: 0 };
  for (const pid of relay.pids()) {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    sum.cpu += (Number(fields[11]) + Number(fields[12])) / TICKS;
    sum.rss += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  }
  return sum;
}

/** Reads a child's output line by line. */
function lines(child: Deno.ChildProcess): () => Promise<string> {
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return async () => {
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the clients of the bench ended");
      text += value;
    }
    const end = text.indexOf("\n");
    const line = text.slice(0, end);
    text = text.slice(end + 1);
    return line;
  };
}

/** Runs the clients in one mode; `measure` is called between their "ready" and their result. */
async function load<T>(
  relay: Subject,
  mode: string[],
  measure: (result: () => Promise<Record<string, number>>) => Promise<T>,
): Promise<T> {
  const { port } = new URL(relay.url);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", LOAD, port, relay.ca, ...mode],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const next = lines(child);
  try {
    await next();
    return await measure(async () => JSON.parse(await next()));
  } finally {
    await child.stdin.close().catch(() => {}); // It ends with its input.
    await child.status;
  }
}

/** CPU per frame and frames a second through a number of pairs. */
function forward(relay: Subject, pairs: number, seconds: number): Promise<BenchRow[]> {
  return load(relay, ["bulk", String(pairs), String(seconds)], async (result) => {
    const before = await usage(relay);
    const { frames, ms } = await result() as { frames: number; ms: number };
    const { cpu } = await usage(relay);
    const what = `relay, ${pairs} ${pairs === 1 ? "pair" : "pairs"}`;
    return [
      { what, value: (cpu - before.cpu) / frames * 1e6, unit: "CPU us/frame" },
      { what, value: frames / ms, unit: "kframes/s" },
    ];
  });
}

function logins(relay: Subject, count: number): Promise<BenchRow[]> {
  return load(relay, ["logins", String(count)], async (result) => {
    const before = await usage(relay);
    const { ms } = await result() as { ms: number };
    const { cpu } = await usage(relay);
    return [
      { what: "relay, login", value: (cpu - before.cpu) / count * 1e3, unit: "CPU ms" },
      { what: "relay, login", value: count / ms * 1e3, unit: "logins/s" },
    ];
  });
}

function idle(relay: Subject, count: number): Promise<BenchRow[]> {
  return load(relay, ["idle", String(count)], async (result) => {
    const before = await usage(relay);
    await result();
    const { rss } = await usage(relay);
    return [{
      what: "relay, idle connection",
      value: (rss - before.rss) / count / 1000,
      unit: "KB",
    }];
  });
}

/** Measures our relay alone. About 20 seconds with the defaults. */
export async function benchOwn(options: OwnOptions = {}): Promise<BenchRow[]> {
  const { seconds = 3, idle: idleCount = 500, logins: loginCount = 300 } = options;
  const directory = await Deno.makeTempDir({ prefix: "nexd-bench-relay-" });
  try {
    await using relay = await startOurs(directory);
    // Logins first: they warm the allocator up, which the idle run must not pay for.
    const rows = [...await logins(relay, loginCount), ...await idle(relay, idleCount)];
    for (const pairs of [1, 16]) rows.push(...await forward(relay, pairs, seconds));
    return rows;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
