import { fileURLToPath } from "node:url";

/** The clone, with a slash at its end. */
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A package as `deno info --json` tells of it. */
export interface Known {
  name: string;
  version: string;
  /** Keys of packages. */
  dependencies: string[];
  /** Its folder; none where it was never fetched. */
  localPath?: string;
}

/** What `deno info --json FILE` prints, as far as it is read. */
export interface ModuleGraph {
  modules: { kind?: string; npmPackage?: string }[];
  npmPackages: Record<string, Known>;
}

/** What is known of the parts cannot be told or does not fit together; one sentence. */
export class PartsError extends Error {
  override readonly name = "PartsError";
}

/**
 * Packages that the modules import, and all that these depend on: their keys.
 *
 * @throws {PartsError} naming one of which the graph knows nothing
 */
export function packagesOf({ modules, npmPackages }: ModuleGraph): Set<string> {
  const found = new Set<string>();
  const visit = (key: string) => {
    if (found.has(key)) return;
    const known = npmPackages[key];
    if (known === undefined) throw new PartsError(`nothing is known of the package ${key}`);
    found.add(key);
    known.dependencies.forEach(visit);
  };
  for (const { npmPackage } of modules) {
    // The part after the version is the path of the module in the package.
    if (npmPackage !== undefined) visit(npmPackage);
  }
  return found;
}

/**
 * Modules of what a release runs: the program's, and those of the dashboard that it serves.
 *
 * @throws {PartsError} with what `deno info` said
 */
export async function graphs(): Promise<ModuleGraph[]> {
  const client = `${ROOT}control/dashboard/client`;
  return [
    await graphOf(`${ROOT}main.ts`, `${ROOT}deno.json`),
    await graphOf(`${client}/main.tsx`, `${client}/deno.json`),
  ];
}

async function graphOf(entry: string, config: string): Promise<ModuleGraph> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--quiet", "--config", config, "--lock", `${ROOT}deno.lock`, entry],
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(success ? stdout : stderr);
  if (!success) throw new PartsError(`deno info cannot read ${entry}: ${text.trim()}`);
  return JSON.parse(text) as ModuleGraph;
}

/** Licence in the package.json of a package; none where it names none. */
export function licenseIn(folder: string): string | undefined {
  const license = factsIn(folder).license;
  return typeof license === "string" && license !== "" ? license : undefined;
}

/** What a package's package.json says; nothing where it cannot be read. */
export function factsIn(folder: string): Record<string, unknown> {
  try {
    return JSON.parse(Deno.readTextFileSync(`${folder}/package.json`)) as Record<string, unknown>;
  } catch {
    return {};
  }
}
