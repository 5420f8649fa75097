/**
 * Certificates from files that are kept good while a server runs: the operator's, and those of our
 * private CA; and the meta certificate, which ages too.
 *
 * @module
 */
export { type ManualOptions, openManual } from "./manual_source.ts";
export { type MetaCert, openMetaCert } from "./meta_source.ts";
export {
  openSelfSigned,
  type SelfSignedOptions,
  type SelfSignedSource,
} from "./self_signed_source.ts";
