/** A certificate or key cannot be used; the message names the file and what to do. Exit code 1. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";
  readonly exitCode = 1;
}
