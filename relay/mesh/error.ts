/** An error of the mesh that the operator can mend. One sentence, with the value and the remedy. */
export class MeshError extends Error {
  override readonly name = "MeshError";

  /** @param exitCode 1: the surroundings are at fault, 2: the command line is */
  constructor(message: string, readonly exitCode: 1 | 2 = 1) {
    super(message);
  }
}
