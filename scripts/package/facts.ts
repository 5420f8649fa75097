/**
 * What every package says of the program.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { PackageError } from "./errors.ts";
import { run } from "./run.ts";

/** The clone, with a slash at its end. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** A kind of processor, as each format calls it. */
export interface Machine {
  deb: string;
  rpm: string;
  oci: string;
}

const MACHINES: Record<string, Machine> = {
  x86_64: { deb: "amd64", rpm: "x86_64", oci: "amd64" },
  aarch64: { deb: "arm64", rpm: "aarch64", oci: "arm64" },
};

/** What is told of the program in every format. */
export interface Facts {
  version: string;
  /** Time of everything in a package, seconds since 1970. */
  epoch: number;
  machine: Machine;
}

export const NAME = "nexd";
export const LICENSE: string = config.license;
/** Who answers for a package: NEXD_PACKAGE_MAINTAINER is for those who publish one. */
export const MAINTAINER: string = Deno.env.get("NEXD_PACKAGE_MAINTAINER") ??
  "nexd contributors <nexd@example.org>";
export const SUMMARY = "WireGuard mesh agent, DERP relay and control plane";
export const DESCRIPTION = [
  "nexd joins hosts into a WireGuard mesh and relays the pairs that NAT keeps",
  "apart over HTTPS, by public key, without being able to read what they send.",
  "One program is the agent on each host, the relay, and the control plane.",
];

/** The processor of an executable, from the header of its ELF file. */
export function machineOf(header: Uint8Array, path: string): Machine {
  const elf = header.length >= 20 && header[0] === 0x7f && header[1] === 0x45;
  const kind = elf ? header[18]! | header[19]! << 8 : 0;
  const name = { 0x3e: "x86_64", 0xb7: "aarch64" }[kind];
  if (name === undefined) {
    throw new PackageError(`${path} is no executable of Linux for x86_64 or aarch64`);
  }
  return MACHINES[name]!;
}

/**
 * When all files of a package are said to be from: SOURCE_DATE_EPOCH, else the time of the commit,
 * else 1980, so that two builds of the same give the same bytes.
 *
 * @throws {PackageError} when the variable is no number of seconds
 */
export async function readEpoch(): Promise<number> {
  const text = Deno.env.get("SOURCE_DATE_EPOCH");
  if (text === undefined || text === "") {
    const told = await run("git", ["-C", ROOT, "log", "-1", "--format=%ct"]).catch(() => "");
    return /^\d+\n$/.test(told) ? Number(told) : 315_532_800;
  }
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new PackageError(`SOURCE_DATE_EPOCH is "${text}": give seconds since 1970`, 2);
}

/** The version of the sources. */
export const VERSION: string = config.version;
