import { X509Certificate } from "node:crypto";

/** The SHA-256 fingerprint of a PEM certificate, 64 hex digits. */
export function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
}
