/** What cannot be released: one sentence with the remedy. */
export class ReleaseError extends Error {
  override readonly name = "ReleaseError";
  /** 2 for a mistake on the command line, else 1. */
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
