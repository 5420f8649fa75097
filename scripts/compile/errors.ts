/** A mistake on the command line, in one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly exitCode = 2;
}

/** Nothing was made: one sentence. */
export class CompileError extends Error {
  override readonly name = "CompileError";
  readonly exitCode = 1;
}
