/** An error that a user of the control plane can cause; the message is one sentence with the remedy. */
export class ControlError extends Error {
  override name = "ControlError";
  /** What the process exits with: 1 for a failure at run time, 2 for wrong usage. */
  readonly exitCode: number;

  constructor(message: string, options: ErrorOptions & { exitCode?: 1 | 2 } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? 1;
  }
}
