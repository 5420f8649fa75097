/**
 * What a release is beside its executables and packages: agreement on the version, checksums, bill
 * of materials, and an install.sh that knows where the release lies.
 *
 * @module
 */

export { ReleaseError } from "./errors.ts";
export {
  executableOf,
  missingTargets,
  stampInstaller,
  sumFiles,
  sumList,
  SUMS,
  TARGETS,
} from "./files.ts";
export { billOfMaterials } from "./sbom.ts";
export { agreedVersion } from "./versions.ts";
