/** An error the operator can mend. The message is one sentence with the value and the remedy. */
export class RelayError extends Error {
  override readonly name = "RelayError";

  /** @param exitCode 1: the surroundings are at fault, 2: the command line is */
  constructor(message: string, readonly exitCode: 1 | 2 = 1) {
    super(message);
  }
}
