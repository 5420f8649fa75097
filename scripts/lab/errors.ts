/** A lab could not be built or used: one sentence with the remedy. */
export class LabError extends Error {
  override readonly name = "LabError";
  readonly exitCode = 1;
}
