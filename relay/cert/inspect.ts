/**
 * Looking into PEM files: who a certificate is for, until when, and whether a key belongs to it.
 *
 * @module
 */

import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import ipaddr from "ipaddr.js";
import { CertificateError } from "./error.ts";

/** What a TLS listener needs, and what its clients must trust. */
export interface Certificate {
  /** PEM: the leaf first, then its intermediates; ends in a line break. */
  cert: string;
  /** PEM of the leaf's private key, unencrypted. */
  key: string;
  /** PEM of the private CA that clients must trust, when the certificate is from one. */
  ca?: string;
}

/** What a certificate says about itself. */
export interface CertificateFacts {
  names: string[];
  /** Its validity, ms since the epoch. */
  notBefore: number;
  notAfter: number;
  /** The common name of who signed it, or all of the issuer's name. */
  issuer: string;
  /** `sha256-raw:` pin (DERP: `CertName`), when it is for an IP address and alone in its chain. */
  pinned?: string;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * Parses all certificates of a PEM text, the leaf first. Text between them is ignored.
 *
 * @param path named in errors
 * @throws {CertificateError} when there is none, or one is damaged
 */
export function parseChain(pem: string, path: string): [X509Certificate, ...X509Certificate[]] {
  const remedy = "put a PEM certificate there, the server's own first";
  // A block that is cut off would else be skipped in silence.
  const begun = pem.split("-----BEGIN CERTIFICATE-----").length - 1;
  const blocks = pem.match(PEM_CERTIFICATE) ?? [];
  if (blocks.length === 0 && begun === 0) {
    throw new CertificateError(`Cannot read certificate ${path}: no certificate in it; ${remedy}`);
  }
  try {
    if (blocks.length !== begun) throw new Error("cut off");
    const [leaf, ...rest] = blocks.map((block) => new X509Certificate(block));
    return [leaf!, ...rest];
  } catch {
    throw new CertificateError(`Cannot read certificate ${path}: it is damaged; ${remedy}`);
  }
}

/**
 * Parses an unencrypted private key: PKCS #8, SEC 1 or PKCS #1.
 *
 * @param path named in errors; the key never is
 * @throws {CertificateError} when it is none
 */
export function parseKey(pem: string, path: string): KeyObject {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    throw new CertificateError(
      `Cannot read key ${path}: it is encrypted; store it without a pass phrase, with mode 0600`,
    );
  }
  try {
    return createPrivateKey(pem);
  } catch {
    throw new CertificateError(
      `Cannot read key ${path}: no usable private key in it; put the certificate's PEM key there`,
    );
  }
}

/** The names a certificate is valid for: DNS names, lower case, and IP addresses, canonical. */
export function subjectNames(certificate: X509Certificate): string[] {
  const names: string[] = [];
  for (const entry of (certificate.subjectAltName ?? "").split(", ")) {
    const [, kind, value] = /^(DNS|IP Address):(.+)$/.exec(entry) ?? [];
    if (kind !== undefined) names.push(canonicalName(value!));
  }
  return names;
}

/**
 * The facts of the first certificate in a PEM text.
 *
 * @throws {CertificateError} when it cannot be read
 */
export function factsOf(pem: string, path = "given"): CertificateFacts {
  const [leaf, ...rest] = parseChain(pem, path);
  const names = subjectNames(leaf);
  const pins = rest.length === 0 && names[0] !== undefined && isIpAddress(names[0]);
  return {
    names,
    notBefore: Date.parse(leaf.validFrom),
    notAfter: Date.parse(leaf.validTo),
    issuer: /^CN=(.+)$/m.exec(leaf.issuer)?.[1] ?? leaf.issuer.replaceAll("\n", ", "),
    ...(pins
      ? { pinned: `sha256-raw:${createHash("sha256").update(leaf.raw).digest("hex")}` }
      : {}),
  };
}

/** The certificates of a PEM text without anything else in it; ends in a line break. */
export function certificatesOnly(pem: string): string {
  return (pem.match(PEM_CERTIFICATE) ?? []).map((block) => `${block}\n`).join("");
}

/** The private keys' blocks of a PEM text, nothing else. */
export function keysOnly(pem: string): string {
  const blocks = pem.match(/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^]*?-----END \1-----/g) ?? [];
  return blocks.map((block) => `${block}\n`).join("");
}

/**
 * The names of the first certificate in a PEM text: DNS names, lower case, and IP addresses.
 *
 * @throws {CertificateError} when it cannot be read
 */
export function certificateNames(pem: string): string[] {
  return subjectNames(parseChain(pem, "given")[0]);
}

/**
 * Tells whether a host is among the names of a certificate. `*` stands for exactly one label, the
 * first (RFC 9525 section 6.3), and for no IP address.
 */
export function coversName(names: string[], host: string): boolean {
  const wanted = canonicalName(host);
  if (names.includes(wanted)) return true;
  const dot = wanted.indexOf(".");
  return dot > 0 && !isIpAddress(wanted) && names.includes(`*${wanted.slice(dot)}`);
}

/** Tells whether a name is an IP address as certificates hold it; "1" and "127.1" are none. */
export function isIpAddress(name: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(name) || ipaddr.IPv6.isValid(name);
}

/** Lower case without the final dot for a DNS name, the usual spelling for an IP address. */
export function canonicalName(name: string): string {
  if (ipaddr.IPv4.isValidFourPartDecimal(name)) return name;
  if (ipaddr.IPv6.isValid(name)) return ipaddr.IPv6.parse(name).toRFC5952String();
  return name.toLowerCase().replace(/\.$/, "");
}
