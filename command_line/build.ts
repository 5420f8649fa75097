/** What this build is, and how it is started again. */

import { UsageError } from "./flags.ts";

/** Where {@linkcode build} finds what `deno task compile` stamped, under `Symbol.for`. */
export const STAMP = "nexd.build";

/**
 * - `source`: Deno runs the clone
 * - `compiled`: made by `deno compile`
 * - `unpacking`: an executable that unpacks itself once
 * - `unpacked`: the directory that such a one was unpacked to, by a package or by hand
 */
export type BuildKind = "source" | "compiled" | "unpacking" | "unpacked";

/** What `nexd version --json` prints. */
export interface Build {
  version: string;
  /** Full hash of the source's commit, with `+` after it where files were changed; null unless built. */
  commit: string | null;
  kind: BuildKind;
  /** Version of the runtime inside. */
  deno: string;
  /** The machine it was made for, such as `x86_64-unknown-linux-gnu`. */
  target: string;
}

/** How this program is started again. */
export interface Self {
  executable: string;
  /** The program's main module; undefined where the executable is the program. */
  module: string | undefined;
}

/** What `deno task compile` leaves for the program. */
interface Stamp {
  commit: string;
  /** What the authors of the parts inside want said of them. */
  notices(): Promise<string>;
}

function stamp(): Stamp | undefined {
  return (globalThis as Record<symbol, unknown>)[Symbol.for(STAMP)] as Stamp | undefined;
}

/**
 * Names and licences of the software of others that this build contains, as text.
 *
 * @throws {UsageError} when it runs from source, which contains none
 */
export async function licenses(): Promise<string> {
  const made = stamp();
  if (made === undefined) {
    throw new UsageError(
      "Cannot print licences: this runs from source, where each package has its own; " +
        "ask an executable (deno task compile makes one)",
    );
  }
  return (await made.notices()).trimEnd();
}

/** What the launcher of an unpacked build says in NEXD_SELF: `KIND:PATH`. */
function launched(): { kind: BuildKind; path: string } | undefined {
  if (stamp() === undefined || Deno.build.standalone) return undefined;
  const [, kind, path] = Deno.env.get("NEXD_SELF")?.match(/^(unpacking|unpacked):(\/.*)$/s) ?? [];
  return kind === undefined ? undefined : { kind: kind as BuildKind, path: path! };
}

/** What this build of `version` is. Reads NEXD_SELF. */
export function build(version: string): Build {
  return {
    version,
    commit: stamp()?.commit ?? null,
    kind: Deno.build.standalone ? "compiled" : launched()?.kind ?? "source",
    deno: Deno.version.deno,
    target: Deno.build.target,
  };
}

/**
 * How this program is started again: a built one by its executable, else the runtime with its main
 * module. Reads NEXD_SELF.
 *
 * @param module path of the main module, for the source
 */
export function selfOf(module: string | undefined): Self {
  const path = launched()?.path;
  if (path !== undefined) return { executable: path, module: undefined };
  return { executable: Deno.execPath(), module: Deno.build.standalone ? undefined : module };
}
