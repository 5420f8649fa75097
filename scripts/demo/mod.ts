/**
 * The demo: builds a lab, plays its course, shows or prints the outcome, and leaves nothing behind
 * unless it is asked to.
 *
 * @module
 */

import { Lab } from "../lab/mod.ts";
import type { DemoArguments } from "./arguments.ts";
import { play } from "./play.ts";
import { type DemoResult, emptyResult } from "./result.ts";
import { type Screen, screenOf } from "./screen.ts";

/** Runs a task of a clone on a machine that has no Deno either. */
const TASK = "npx -y deno@2.9.6 task";

/** Exit codes of a program that a signal ended, by custom. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const print = (text: string) => void Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));

/** Ends a kept lab. */
export async function endLab(id: string): Promise<void> {
  await Lab.end(id);
  print(`The lab ${id} is gone.`);
}

/** Runs the demo; returns the exit code. */
export async function runDemo(args: DemoArguments): Promise<number> {
  const screen = screenOf(args.json);
  const result = emptyResult(args.hosts);
  let starting: Promise<Lab> | undefined;
  let interrupted = false;
  for (const [name, code] of Object.entries(SIGNALS)) {
    Deno.addSignalListener(name as Deno.Signal, async () => {
      if (interrupted) Deno.exit(code); // the lab ends with us in any case
      interrupted = true;
      screen.silence();
      const lab = await starting?.catch(() => undefined);
      await lab?.[Symbol.asyncDispose]();
      if (args.json) print(JSON.stringify({ ...result, error: `Interrupted by ${name}` }));
      screen.line(`\r${screen.style("yellow", "Interrupted; the lab is gone.")}`);
      Deno.exit(code);
    });
  }
  const kinds = { symmetric: "symmetric NATs", cone: "cone NATs", open: "no NAT" };
  const through = args.nat === "symmetric" ? "through our relay" : "directly";
  screen.line();
  screen.line(
    `  ${screen.style("bold", "nexd demo")}: ${args.hosts} hosts behind ${kinds[args.nat]} ` +
      `reach each other ${through}`,
  );
  screen.line();
  let lab: Lab | undefined;
  try {
    await screen.step("lab stands", async () => {
      lab = await (starting = Lab.create({ hosts: args.hosts, nat: args.nat }));
      return `${args.hosts} hosts, each behind its own router, on one "Internet" with control ` +
        "and relay; all in namespaces, nothing outside changes";
    });
    await play(lab!, args, screen, result);
    result.ok = true;
  } catch (error) {
    if (interrupted) return await new Promise(() => {}); // the signal's handler ends us
    result.error = (error as Error).message;
  }
  result.seconds = Math.round(screen.seconds * 10) / 10;
  result.steps = screen.steps;
  if (lab && args.keep) await keepLab(lab, result);
  else await lab?.[Symbol.asyncDispose]();
  if (args.json) print(JSON.stringify(result));
  else showEnd(screen, result, args);
  return result.ok ? 0 : 1;
}

async function keepLab(lab: Lab, result: DemoResult): Promise<void> {
  await lab.keep();
  result.lab = {
    id: lab.id,
    dir: lab.dir,
    enter: Object.fromEntries(lab.hosts.map((host) => [host.name, host.enterCommand])),
    end: `${TASK} demo --end ${lab.id}`,
  };
}

function showEnd(screen: Screen, result: DemoResult, args: DemoArguments): void {
  screen.line();
  if (result.ok) {
    screen.line(`  ${screen.style(["bold", "green"], "All of it holds")}, in ${result.seconds} s.`);
  } else {
    const failed = screen.steps.at(-1)?.name ?? "the start";
    screen.line(`  ${screen.style(["bold", "red"], "It does not hold")}: see "${failed}" above.`);
    if (!args.keep && screen.steps.length > 1) {
      screen.line("  With --keep the lab is left standing, to look around in it.");
    }
  }
  if (result.lab) {
    screen.line();
    screen.line("  The lab is still there. A shell on a host:");
    for (const [name, command] of Object.entries(result.lab.enter)) {
      screen.line(`    ${name.padEnd(8)} ${command} sh`);
    }
    screen.line(`  Logs and control sockets are in ${result.lab.dir}; a host's agent answers with`);
    screen.line(`    ${TASK} agent status --unix-socket ${result.lab.dir}/a.sock`);
    screen.line(`  It ends with`);
    screen.line(`    ${screen.style("bold", result.lab.end)}`);
  }
  screen.line();
}
