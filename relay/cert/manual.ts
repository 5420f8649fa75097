/**
 * Certificates that the operator brings: `<hostname>.crt` and `<hostname>.key` in one directory.
 *
 * @module
 */

import type { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { CertificateError } from "./error.ts";
import { readIfExists } from "./files.ts";
import { type Certificate, coversName, parseChain, parseKey, subjectNames } from "./inspect.ts";

/**
 * The file name, without extension, of a host's certificate: all characters but letters, digits,
 * `-` and `.` are left out, so the colons of an IPv6 address too.
 *
 * @throws {CertificateError} when nothing is left
 */
export function certificateFileName(hostname: string): string {
  const name = hostname.replaceAll(/[^A-Za-z0-9.-]/g, "");
  if (/^\.*$/.test(name)) {
    throw new CertificateError(
      `Cannot use hostname "${hostname}": give --hostname a DNS name or IP address`,
      2,
    );
  }
  return name;
}

/**
 * Loads an operator's certificate and checks that clients can use it.
 *
 * @param directory where the files are
 * @param hostname names the files, and must be covered by the certificate
 * @param extraNames must be covered too, such as `api.<hostname>`
 * @throws {CertificateError} when a file is missing or damaged, a name is not covered, the
 * certificate is out of date, or the key is another's
 */
export async function loadManual(
  directory: string,
  hostname: string,
  extraNames: string[] = [],
): Promise<Certificate> {
  const base = join(directory, certificateFileName(hostname));
  const [certPath, keyPath] = [`${base}.crt`, `${base}.key`];
  // One after the other, so that of two missing files the same one is named each time.
  const cert = await readRequired(
    certPath,
    "put the PEM certificate of the host there, its own first",
  );
  const key = await readRequired(
    keyPath,
    "put the PEM key of the certificate there, with mode 0600",
  );
  const [leaf] = parseChain(cert, certPath);
  const names = subjectNames(leaf);
  const missing = [hostname, ...extraNames].filter((name) => !coversName(names, name));
  if (missing.length > 0) {
    const has = names.length > 0 ? names.slice(0, 10).join(", ") : "no host at all";
    throw new CertificateError(
      `Cannot use certificate ${certPath}: it is for ${has}, not for ${missing.join(", ")}; ` +
        "get one that names it, or start with another --hostname",
    );
  }
  checkDates(leaf, certPath);
  if (!leaf.checkPrivateKey(parseKey(key, keyPath))) {
    throw new CertificateError(
      `Cannot use key ${keyPath}: it belongs to another certificate than ${certPath}; ` +
        "put the two made together there",
    );
  }
  return { cert: cert.endsWith("\n") ? cert : cert + "\n", key };
}

/** Refuses a certificate whose time has not come or is over. */
function checkDates(certificate: X509Certificate, path: string): void {
  const now = Date.now();
  const from = new Date(certificate.validFrom);
  const to = new Date(certificate.validTo);
  if (now > to.getTime()) {
    throw new CertificateError(
      `Cannot use certificate ${path}: it expired on ${day(to)}; put a renewed one there`,
    );
  }
  if (now < from.getTime()) {
    throw new CertificateError(
      `Cannot use certificate ${path}: it is valid from ${day(from)} on; check this host's clock`,
    );
  }
}

async function readRequired(path: string, remedy: string): Promise<string> {
  const text = await readIfExists(path);
  if (text === undefined) {
    throw new CertificateError(
      `Cannot read ${path}: no such file; ${remedy}, or use --certmode selfsigned`,
    );
  }
  return text;
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
