import { dirname, join, normalize } from "node:path/posix";
import { jobsOf } from "./suites.ts";

/**
 * What a test file names that not every system has: programs, paths and file modes of Unix, Unix
 * sockets, loopback addresses that macOS has no alias for, libc, labs.
 */
const NEEDS_LINUX = new RegExp(
  [
    /Deno\.(Command|chmod|[ug]id|symlink|dlopen|kill|addSignalListener|umask|l?stat|networkInterfaces)/,
    /\/proc\b|\/(sys|run|etc|dev|usr|bin)\/|\/tmp|127\.0\.0\.([2-9]|1\d)|mode:|recvmmsg|unix/,
    /pebble|playwright|nftables|scripts\/lab|fromFileUrl/,
  ].map(({ source }) => source).join("|"),
);

/** Files beside tests that only tests import, by their names. */
const HELPER = /(support|test|fake|sample|recorded|fixture|host|play|stand)[^/]*\.tsx?$/;

/**
 * Whether a test file of the rooms can run on every system: nothing in it, or in the helpers that it
 * imports, needs Linux.
 *
 * @param read gives the text of a file, undefined where there is none
 */
export function isPortable(
  path: string,
  read: (path: string) => string | undefined,
  seen: Set<string> = new Set(),
): boolean {
  seen.add(path);
  const text = read(path);
  if (text === undefined) return true;
  if (NEEDS_LINUX.test(text)) return false;
  return [...text.matchAll(/from "(\.[^"]+)"/g)]
    .map(([, imported]) => normalize(join(dirname(path), imported!)))
    .filter((imported) => HELPER.test(imported) && !seen.has(imported))
    .every((imported) => isPortable(imported, read, seen));
}

/** The rooms' own tests that can run on every system, of the tree in the working directory. */
export function portableFiles(): string[] {
  const read = (path: string) => {
    try {
      return Deno.readTextFileSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  };
  return jobsOf(["rooms"]).flatMap(({ paths }) => paths)
    .filter((path) => !/^(scripts|tests)\//.test(path) && isPortable(path, read));
}
