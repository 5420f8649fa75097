/**
 * What ends a command in a way that its user can mend.
 *
 * @module
 */

/** One sentence with the value and the remedy; exit code 1, or 2 for a wrong command line. */
export class ClientError extends Error {
  override name = "ClientError";
  readonly exitCode: number;

  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
  }
}

/** A wrong command line: exit code 2. */
export function usageError(message: string): ClientError {
  return new ClientError(message, { exitCode: 2 });
}
