/**
 * Echoes by the system's own `ping`, where no ICMP socket can be had.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { reasonOf } from "../errors.ts";
import { systemProgram } from "../platform/mod.ts";
import type { Family } from "./packet.ts";

/** The command for one echo; the last word is the address. */
export function pingCommand(
  os: typeof Deno.build.os,
  family: Family,
  address: string,
  timeoutMs: number,
): [string, ...string[]] {
  // What is no address must not come near a command line.
  if (!ipaddr.isValid(address)) throw new TypeError(`${JSON.stringify(address)} is no address`);
  const seconds = String(Math.max(1, Math.ceil(timeoutMs / 1000)));
  switch (os) {
    case "windows":
      return [systemProgram("ping.exe"), `-${family}`, "-n", "1", "-w", String(timeoutMs), address];
    case "darwin":
      return family === 4
        ? ["ping", "-n", "-c", "1", "-t", seconds, address]
        : ["ping6", "-n", "-c", "1", address];
    default:
      return ["ping", `-${family}`, "-n", "-c", "1", "-W", seconds, address];
  }
}

/** The round-trip time that `ping` printed, ms. */
export function pingTime(
  output: string,
  os: typeof Deno.build.os = Deno.build.os,
): number | undefined {
  if (os === "windows") return windowsTime(output);
  const time = /time[=<]\s*([\d.]+)\s*ms/.exec(output)?.[1];
  return time === undefined ? undefined : Number(time);
}

/**
 * Windows speaks the system's language, down to the unit, but its line of an answer has always the
 * same numbers behind "=" or "<": bytes, time and TTL over IPv4, the time alone over IPv6.
 */
function windowsTime(output: string): number | undefined {
  for (const line of output.split(/\r?\n/)) {
    const numbers = [...line.matchAll(/[=<](\d+)/g)].map(([, number]) => Number(number));
    if (numbers.length === 3) return numbers[1];
    if (numbers.length === 1) return numbers[0];
  }
  return undefined;
}

/**
 * One echo; resolves like `IcmpSocket.echo`.
 *
 * @throws Error with a short reason when `ping` cannot run
 */
export async function echoByProgram(
  family: Family,
  address: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const [program, ...args] = pingCommand(Deno.build.os, family, address, timeoutMs);
  const limit = AbortSignal.timeout(timeoutMs + 1_000);
  try {
    const { stdout } = await new Deno.Command(program, {
      args,
      env: { LC_ALL: "C" },
      stdin: "null",
      stdout: "piped",
      stderr: "null",
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    }).output();
    return pingTime(new TextDecoder().decode(stdout));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new Error("ping is not installed and no ICMP socket is permitted", { cause: error });
    }
    throw new Error(reasonOf(error, 80), { cause: error });
  }
}
