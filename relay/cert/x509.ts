/**
 * Making certificates. The library takes a tenth of a second to load, so it is loaded only when
 * one is made.
 *
 * @module
 */

type X509 = typeof import("@peculiar/x509");

/** Signature algorithm of the private CA and its leaves. */
export const ECDSA_P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** Loads the library. */
export async function loadX509(): Promise<X509> {
  await import("reflect-metadata"); // the library needs it there first
  return await import("@peculiar/x509");
}

/** A random positive serial number of 127 bits, as hex (RFC 5280 section 4.1.2.2). */
export function randomSerial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toHex();
}

/** PEM of some DER. */
export function toPem(label: string, der: ArrayBuffer | Uint8Array): string {
  const base64 = new Uint8Array(der).toBase64();
  const lines = base64.match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
