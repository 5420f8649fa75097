/**
 * The DERP meta certificate: how a relay shows its DERP key inside the TLS handshake, so that a
 * client may log in without waiting for the ServerKey frame.
 *
 * It is no certificate of anything: self-signed by a throw-away Ed25519 key, common name `derpkey`
 * and the key in hex, serial number the protocol version, and one extension, a critical and empty
 * basicConstraints. No key identifiers: monitoring tells it apart from real ones by their absence.
 * Servers append it to their chain; clients look for the name and check nothing else.
 *
 * @module
 */

import { loadX509, toPem } from "./x509.ts";

/** DERP's protocol version, told by the serial number. */
const PROTOCOL_VERSION = 2;

const DAY_MS = 86_400_000;

/** Everything in a meta certificate that differs from one to the next. */
export interface MetaCertOptions {
  /** Ed25519 keys to sign with. */
  keys: CryptoKeyPair;
  /** Start of its validity. */
  notBefore: Date;
  /** End of its validity. */
  notAfter: Date;
}

/**
 * Makes the meta certificate of a relay, valid from 30 days ago until in 30 days.
 *
 * @param publicKey the relay's DERP public key, 32 bytes
 * @returns PEM to append to the certificate chain
 */
export async function metaCert(publicKey: Uint8Array): Promise<string> {
  const keys = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const now = Date.now();
  const der = await buildMetaCert(publicKey, {
    keys: keys as CryptoKeyPair,
    notBefore: new Date(now - 30 * DAY_MS),
    notAfter: new Date(now + 30 * DAY_MS),
  });
  return toPem("CERTIFICATE", der);
}

/** DER of a meta certificate, given everything that is random in it. */
export async function buildMetaCert(
  publicKey: Uint8Array,
  { keys, notBefore, notAfter }: MetaCertOptions,
): Promise<ArrayBuffer> {
  if (publicKey.length !== 32) {
    throw new RangeError(`Cannot make meta certificate: key of ${publicKey.length} bytes, not 32`);
  }
  const { BasicConstraintsExtension, X509CertificateGenerator } = await loadX509();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: PROTOCOL_VERSION.toString(16).padStart(2, "0"),
    name: `CN=derpkey${publicKey.toHex()}`,
    notBefore,
    notAfter,
    signingAlgorithm: { name: "Ed25519" },
    keys,
    extensions: [new BasicConstraintsExtension(false, undefined, true)],
  });
  return certificate.rawData;
}
