/** A certificate or key cannot be used; the message names the file or name and what to do. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";

  /** @param exitCode 1: the files are at fault, 2: the command line is */
  constructor(message: string, readonly exitCode: 1 | 2 = 1) {
    super(message);
  }
}
