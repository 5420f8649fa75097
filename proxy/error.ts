/** What a user can cause in the proxy: one sentence with the value and the remedy. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
  /** Exit code of the program when nobody handles it: a runtime failure. */
  readonly exitCode = 1;
}
