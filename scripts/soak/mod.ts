/**
 * `deno task soak`: a relay at full load for as long as one likes, with clients that come and go,
 * and its memory watched.
 *
 * - `--minutes N`: how long; 30 by default.
 * - `--pairs N`: pairs that send at once; 16 by default.
 * - `--workers N`: processes of the relay; 1 by default.
 *
 * Each ten seconds it prints what the relay's processes hold. It fails when memory or descriptors
 * keep growing after the first fifth of the time, or when packets stop. JIT, allocators and TLS
 * buffers fill in that first fifth; a leak does not stop there.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import { startOurs, type Subject } from "../bench/relay/mod.ts";

const LOAD = fileURLToPath(new URL("./clients.ts", import.meta.url));
/** Time between samples, in ms. */
const SAMPLE_MS = 10_000;
/** What may come on top of the first fifth's highest, in bytes and descriptors. */
const SPARE_RSS = 48e6, SPARE_HANDLES = 150;

const print = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));

/** What was seen at one moment. */
export interface Sample {
  /** Seconds since the start. */
  at: number;
  /** Resident bytes of all processes, and the part of it that is their own and writable. */
  rss: number;
  data: number;
  handles: number;
  /** Frames, pairs and strangers so far, as the clients count them. */
  frames: number;
  pairs: number;
  logins: number;
  strangers: number;
  stalls: number;
  errors: number;
  lastError: string;
}

/**
 * Whether a relay held still: nothing beyond the bound that the first fifth sets.
 *
 * @returns what grew, or undefined
 */
export function grown(samples: readonly Sample[]): string | undefined {
  const first = samples.slice(0, Math.max(1, Math.ceil(samples.length / 5)));
  const rest = samples.slice(first.length);
  // The middle of what came last: one sample may fall into a collection's worst moment.
  const late = rest.slice(Math.floor(rest.length / 2));
  if (late.length === 0) return undefined;
  const middle = (of: (sample: Sample) => number) =>
    late.map(of).toSorted((a, b) => a - b)[late.length >> 1]!;
  for (
    const [what, of, spare] of [
      ["resident memory", (s: Sample) => s.rss, SPARE_RSS],
      ["descriptors", (s: Sample) => s.handles, SPARE_HANDLES],
    ] as const
  ) {
    const before = Math.max(...first.map(of));
    if (middle(of) > before + spare) return `${what} grew from ${before} to ${middle(of)}`;
  }
  return undefined;
}

async function look(relay: Subject): Promise<Pick<Sample, "rss" | "data" | "handles">> {
  const sum = { rss: 0, data: 0, handles: 0 };
  for (const pid of relay.pids()) {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    const kilobytes = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    sum.rss += kilobytes("VmRSS") * 1024;
    sum.data += kilobytes("RssAnon") * 1024;
    for await (const _ of Deno.readDir(`/proc/${pid}/fd`)) sum.handles += 1;
  }
  return sum;
}

async function soak(options: { minutes: number; pairs: number; workers: number }): Promise<number> {
  const { minutes, pairs, workers } = options;
  const directory = await Deno.makeTempDir({ prefix: "nexd-soak-" });
  const samples: Sample[] = [];
  try {
    await using relay = await startOurs(directory, workers);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", LOAD, new URL(relay.url).port, relay.ca, String(pairs)],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let counts = "{}";
    void (async () => {
      let text = "";
      for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
        text += piece;
        const lines = text.split("\n");
        text = lines.pop()!;
        counts = lines.at(-1) ?? counts;
      }
    })();
    const started = performance.now();
    print("   time    RSS MB  own MB  handles   kframes/s     pairs    logins  strangers  stalls");
    try {
      let frames = 0;
      while (performance.now() - started < minutes * 60_000) {
        await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
        const at = (performance.now() - started) / 1000;
        const sample: Sample = { at, ...await look(relay), ...JSON.parse(counts) };
        const rate = (sample.frames - frames) / SAMPLE_MS;
        frames = sample.frames;
        samples.push(sample);
        print(
          [
            `${at.toFixed(0)} s`.padStart(7),
            (sample.rss / 1e6).toFixed(1).padStart(9),
            (sample.data / 1e6).toFixed(1).padStart(7),
            String(sample.handles).padStart(8),
            rate.toFixed(1).padStart(11),
            String(sample.pairs).padStart(9),
            String(sample.logins).padStart(9),
            String(sample.strangers).padStart(10),
            String(sample.stalls).padStart(7),
          ].join(" "),
        );
        if (!(rate > 0)) throw new Error(`no packet came in ${SAMPLE_MS} ms: ${counts}`);
      }
    } finally {
      await child.stdin.close().catch(() => {});
      await child.status;
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  const last = samples.at(-1)!;
  const wrong = grown(samples) ??
    (last.errors > 0 ? `${last.errors} pairs failed: ${last.lastError}` : undefined);
  print(
    wrong === undefined
      ? `held still: ${last.frames} frames, ${last.logins} logins, ${last.strangers} strangers`
      : `FAILED: ${wrong}`,
  );
  return wrong === undefined ? 0 : 1;
}

function readArguments(args: string[]): { minutes: number; pairs: number; workers: number } {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: "string", default: "30" },
      pairs: { type: "string", default: "16" },
      workers: { type: "string", default: "1" },
    },
  });
  const number = (name: keyof typeof values) => {
    const value = Number(values[name]);
    if (!(value > 0)) throw new Error(`--${name} ${values[name]}: give a number above 0`);
    return value;
  };
  return { minutes: number("minutes"), pairs: number("pairs"), workers: number("workers") };
}

if (import.meta.main) {
  let code = 2;
  try {
    code = await soak(readArguments(Deno.args));
  } catch (error) {
    print(`soak: ${(error as Error).message}`);
    code = 1;
  }
  Deno.exit(code);
}
