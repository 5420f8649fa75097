/**
 * Where an agent's control socket is.
 *
 * @module
 */
import { homeDir, isRoot, readText, type Values } from "../onboarding/mod.ts";

/** The path of `--unix-socket`, or the usual one. */
export function socketPathOf(values: Values): string {
  return readText(values, "unix-socket") ??
    (isRoot() ? "/var/run/nexd.sock" : `${homeDir()}/.nexodus/nexd.sock`);
}
