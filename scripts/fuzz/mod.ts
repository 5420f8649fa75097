/**
 * `deno task fuzz`: damaged bytes for every decoder of the relay, and clients that break the rules
 * for a live one, until time is over or something breaks.
 *
 * - `--seconds N`: how long; 60 by default.
 * - `--seed S`: which run; a random one by default, and printed. The same seed gives the same inputs
 *   in the same order; how clients interleave is the machine's.
 * - `--from R`: the round to start with, to come to a failure sooner.
 * - `--only decoders` or `--only live`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { loadCorpus } from "./corpus.ts";
import { fuzzDecoders, targets } from "./decoders.ts";
import { LiveFuzz } from "./live.ts";

const print = (line: string) => void Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));

/** Time between lines of progress, in ms. */
const PROGRESS_MS = 10_000;

/** What is fuzzed and how long. */
export interface FuzzOptions {
  seconds: number;
  seed: number;
  from: number;
  only?: string | undefined;
}

function readArguments(args: string[]): FuzzOptions {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string" },
      from: { type: "string", default: "0" },
      only: { type: "string" },
    },
  });
  const number = (name: "seconds" | "seed" | "from", fallback: number) => {
    const text = values[name] ?? String(fallback);
    if (!/^\d{1,10}$/.test(text)) throw new Error(`--${name} ${text}: give a whole number`);
    return Number(text);
  };
  if (values.only !== undefined && values.only !== "decoders" && values.only !== "live") {
    throw new Error(`--only ${values.only}: choose decoders or live`);
  }
  const seed = number("seed", crypto.getRandomValues(new Uint32Array(1))[0]!);
  return {
    seconds: number("seconds", 60),
    seed,
    from: number("from", 0),
    only: values.only,
  };
}

/** Fuzzes; the number of failures, 0 or 1: it stops at the first. */
export async function fuzz(options: FuzzOptions, say: (line: string) => void): Promise<number> {
  const { seconds, seed, from, only } = options;
  const corpus = await loadCorpus();
  const all = targets(corpus);
  await using live = await LiveFuzz.start(corpus);
  let inputs = 0;
  let round = from;
  const counts = () => {
    const { batches, connections, logins, frames, bytes } = live.counts;
    return `${inputs} inputs to ${all.length} decoders; ${batches} batches on a live relay: ` +
      `${connections} connections, ${logins} logins, ${frames} frames, ` +
      `${Math.round(bytes / 1e6)} MB; RSS ${Math.round(Deno.memoryUsage().rss / 1e6)} MB`;
  };
  say(`seed ${seed}`);
  const end = performance.now() + seconds * 1000;
  let next = performance.now() + PROGRESS_MS;
  try {
    for (; performance.now() < end; round++) {
      if (only !== "live") inputs += await fuzzDecoders(all, seed, round);
      if (only !== "decoders") await live.batch(seed, round);
      if (performance.now() < next) continue;
      next += PROGRESS_MS;
      say(counts());
    }
  } catch (error) {
    say(counts());
    say(`BROKEN: ${(error as Error).message}`);
    say(`again with: deno task fuzz --seed ${seed} --from ${round}`);
    return 1;
  }
  say(`nothing broke: ${counts()}`);
  return 0;
}

if (import.meta.main) {
  let options: FuzzOptions | undefined;
  try {
    options = readArguments(Deno.args);
  } catch (error) {
    print(`fuzz: ${(error as Error).message}`);
  }
  Deno.exit(options === undefined ? 2 : await fuzz(options, print));
}
