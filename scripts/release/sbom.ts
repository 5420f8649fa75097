import { Enums, Models, Serialize, Spec, Validation } from "@cyclonedx/cyclonedx-library";
import "ajv";
import "ajv-formats";
import "ajv-formats-draft2019";
import { type ModuleGraph, packagesOf } from "../parts/mod.ts";
import { ReleaseError } from "./errors.ts";

/** A package as deno.lock has it. */
interface Locked {
  /** `sha512-` and base64. */
  integrity?: string;
}

/** From what the list of parts is made. */
export interface Parts {
  /** Text of deno.json. */
  config: string;
  /** Text of deno.lock. */
  lock: string;
  /** Modules of what a release runs: the program, and the dashboard that it serves. */
  graphs: ModuleGraph[];
  /** Version of the runtime inside the executable. */
  deno: string;
  /** Licence that a package's own package.json names; none where it cannot be told. */
  license(path: string): string | undefined;
}

/** URL of a package, as github.com/package-url/purl-spec has it for npm. */
const purlOf = ({ name, version }: ModuleGraph["npmPackages"][string]) =>
  `pkg:npm/${name.replace("@", "%40")}@${version}`;

/**
 * The software bill of materials of a release in CycloneDX 1.6 JSON: the runtime, and every package
 * whose code is in the executable, with the sums of deno.lock. The same parts give the same bytes, as
 * there is neither a time nor a random number in it.
 *
 * @throws {ReleaseError} when a package is not in deno.lock, or the result does not fit the
 * published schema
 */
export async function billOfMaterials(parts: Parts): Promise<string> {
  const { name, version, license } = JSON.parse(parts.config) as Record<string, string>;
  const locked = (JSON.parse(parts.lock) as { npm: Record<string, Locked> }).npm;
  const bom = new Models.Bom();
  const { Component, NamedLicense, SpdxLicense } = Models;
  const { ComponentType } = Enums;
  const licensed = (component: Models.Component, id: string | undefined) => {
    if (id === undefined) return component;
    // An identifier by itself is one word; anything else is kept as it was written.
    component.licenses.add(/^[\w.+-]+$/.test(id) ? new SpdxLicense(id) : new NamedLicense(id));
    return component;
  };
  const program = licensed(
    new Component(ComponentType.Application, name!, {
      version: version!,
      bomRef: `${name}@${version}`,
    }),
    license,
  );
  const runtime = licensed(
    new Component(ComponentType.Platform, "deno", {
      version: parts.deno,
      bomRef: `deno@${parts.deno}`,
      purl: `pkg:github/denoland/deno@v${parts.deno}`,
    }),
    "MIT",
  );
  bom.metadata.component = program;
  bom.components.add(runtime);
  program.dependencies.add(runtime.bomRef);

  const known = Object.assign(
    {},
    ...parts.graphs.map(({ npmPackages }) => npmPackages),
  ) as ModuleGraph[
    "npmPackages"
  ];
  const keys = [...new Set(parts.graphs.flatMap((graph) => [...packagesOf(graph)]))].sort();
  const components = new Map(keys.map((key) => {
    const one = known[key]!;
    const integrity = locked[key]?.integrity;
    if (integrity === undefined) throw new ReleaseError(`deno.lock has no sum of ${key}; renew it`);
    const component = new Component(ComponentType.Library, one.name, {
      version: one.version,
      bomRef: key,
      purl: purlOf(one),
      scope: Enums.ComponentScope.Required,
    });
    const sum = Uint8Array.fromBase64(integrity.replace(/^sha512-/, "")).toHex();
    component.hashes.set(Enums.HashAlgorithm["SHA-512"], sum);
    const license = one.localPath === undefined ? undefined : parts.license(one.localPath);
    return [key, licensed(component, license)];
  }));
  for (const [key, component] of components) {
    bom.components.add(component);
    for (const on of known[key]!.dependencies) {
      component.dependencies.add(components.get(on)!.bomRef);
    }
  }
  for (
    const key of new Set(parts.graphs.flatMap(({ modules }) => modules.map((m) => m.npmPackage)))
  ) {
    if (key !== undefined) program.dependencies.add(components.get(key)!.bomRef);
  }

  const factory = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  const text = new Serialize.JsonSerializer(factory).serialize(bom, { sortLists: true, space: 2 });
  await checkBill(text);
  return `${text}\n`;
}

/**
 * Holds a bill of materials against CycloneDX' published schema.
 *
 * @throws {ReleaseError} with the first mistake
 */
export async function checkBill(text: string): Promise<void> {
  const mistakes = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text);
  if (mistakes === null) return;
  const first = JSON.stringify(Array.isArray(mistakes) ? mistakes[0] : mistakes);
  throw new ReleaseError(`the bill of materials does not fit CycloneDX' schema: ${first}`);
}
