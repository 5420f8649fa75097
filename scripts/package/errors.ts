/**
 * What goes wrong where packages are made.
 *
 * @module
 */

/** Nothing was made: one sentence with the remedy. */
export class PackageError extends Error {
  override readonly name = "PackageError";
  constructor(message: string, readonly exitCode: 1 | 2 = 1) {
    super(message);
  }
}
