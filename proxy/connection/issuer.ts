/**
 * Checking who signed a relay's certificate. The runtime can add an authority to those it trusts, but
 * not trust one alone: so after the handshake the certificate is looked at again.
 */
import { getBuiltinModule } from "node:process";

/** The part of the runtime that shows the other side's certificate. It is not in its public types. */
interface Internals {
  getPeerCertificate?: symbol;
}

/**
 * Whether the other side's certificate was signed by one of these authorities. The handshake has
 * checked everything else: the name, the time, and that the other side has the key.
 *
 * @param conn a connection whose handshake is over
 * @param authorities PEM texts of certificates
 * @throws when this version of the runtime cannot tell: then nothing may be trusted
 */
export function signedBy(conn: Deno.TlsConn, authorities: readonly string[]): boolean {
  const runtime = Deno as unknown as Record<symbol, Internals> & { internal: symbol };
  const name = runtime[runtime.internal]?.getPeerCertificate;
  const read = name && (conn as unknown as Record<symbol, unknown>)[name];
  if (typeof read !== "function") throw new Error("this runtime does not show its certificate");
  const { raw } = read.call(conn) as { raw?: Uint8Array };
  if (raw === undefined) return false;
  const { X509Certificate } = getBuiltinModule("node:crypto");
  const certificate = new X509Certificate(raw);
  return authorities.some((pem) => {
    const authority = new X509Certificate(pem);
    return authority.ca && certificate.checkIssued(authority) &&
      certificate.verify(authority.publicKey);
  });
}
