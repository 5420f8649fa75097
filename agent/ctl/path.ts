/**
 * Where an agent's control socket is.
 *
 * @module
 */
import { homeDir, isRoot, readText, type Values } from "../onboarding/mod.ts";

/** Only administrators and the system can make a pipe below this prefix, and so pose as the agent. */
const PIPE = "\\\\.\\pipe\\ProtectedPrefix\\Administrators\\nexd";

/** The path of `--unix-socket`, or the usual one. */
export function socketPathOf(values: Values, os: typeof Deno.build.os = Deno.build.os): string {
  const given = readText(values, "unix-socket");
  if (given !== undefined) return given;
  if (os === "windows") return PIPE;
  return isRoot() ? "/var/run/nexd.sock" : `${homeDir()}/.nexodus/nexd.sock`;
}
