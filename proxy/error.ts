/** What a user can cause in the proxy: one sentence with the value and the remedy. */
export class ProxyError extends Error {
  override readonly name: string = "ProxyError";
  /** Exit code of the program when nobody handles it: a runtime failure. */
  readonly exitCode = 1;
}

/** Why there is no connection to a relay. */
export type RelayFailure =
  /** The name does not resolve. */
  | "dns"
  /** Nothing listens there. */
  | "refused"
  /** No route, or the connection broke. */
  | "network"
  /** It took too long, or the relay fell silent. */
  | "timeout"
  /** The certificate is not signed by a known authority. */
  | "tls_unknown_ca"
  /** The certificate is for other names. */
  | "tls_wrong_name"
  /** The certificate is out of its validity. */
  | "tls_expired"
  /** Any other trouble with TLS. */
  | "tls"
  /** It is an HTTP server but answers something else than 101. */
  | "http"
  /** It closed the connection before the login was done. */
  | "login"
  /** It closed the connection afterwards. */
  | "closed"
  /** It broke the DERP protocol. */
  | "protocol";

/** A connection to a relay that could not be made, or ended. */
export class RelayConnectionError extends ProxyError {
  override readonly name = "RelayConnectionError";

  constructor(readonly reason: RelayFailure, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
