/** The only error the DERP protocol code throws: the peer (or a file) broke the protocol. */
export class DerpError extends Error {
  override readonly name = "DerpError";
}
