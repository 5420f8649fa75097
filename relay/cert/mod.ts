/**
 * TLS certificates of the relay and the control plane: files brought by the operator, a private CA
 * of our own, ACME, and the DERP meta certificate.
 *
 * @module
 */
export * from "./acme/mod.ts";
export { CertificateError } from "./error.ts";
export { reasonOf } from "./files.ts";
export type { Certificate } from "./inspect.ts";
export { loadManual } from "./manual.ts";
export { metaCert } from "./meta.ts";
export { ensureSelfSigned, type SelfSigned } from "./self_signed.ts";
export type { CertificateSource, CertificateStatus } from "./source.ts";
export * from "./sources/mod.ts";
