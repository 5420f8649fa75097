/**
 * Certificates that the operator brings: `<hostname>.crt` and `<hostname>.key` in one directory, or
 * the files that another relay's ACME client left there.
 *
 * @module
 */

import type { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { CertificateError } from "./error.ts";
import { exists, readIfExists } from "./files.ts";
import {
  canonicalName,
  type Certificate,
  certificatesOnly,
  coversName,
  isIpAddress,
  keysOnly,
  parseChain,
  parseKey,
  subjectNames,
} from "./inspect.ts";

/** The files of one certificate; of the same path when one file holds both. */
export interface PairFiles {
  cert: string;
  key: string;
}

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
 * Where a host's certificate may be, the best place first: `NAME.crt` and `NAME.key`; the same with
 * an IPv6 address' colons turned into dots; `NAME` and `NAME+rsa` with the key and the chain in one
 * file. So a certificate directory of derper serves as it is, whatever mode filled it (DERP: section
 * on certificates).
 */
export function candidateFiles(directory: string, hostname: string): PairFiles[] {
  const base = join(directory, certificateFileName(hostname));
  const canonical = canonicalName(hostname);
  const places: PairFiles[] = [{ cert: `${base}.crt`, key: `${base}.key` }];
  if (isIpAddress(canonical) && canonical.includes(":")) {
    const dotted = join(directory, dottedName(canonical));
    places.push({ cert: `${dotted}.crt`, key: `${dotted}.key` }, { cert: dotted, key: dotted });
  }
  for (const path of [base, `${base}+rsa`]) places.push({ cert: path, key: path });
  return places;
}

/** A name as the file name of an ACME certificate: the colons of an IPv6 address are dots. */
export function dottedName(hostname: string): string {
  return certificateFileName(canonicalName(hostname).replaceAll(":", "."));
}

/** The first of the places with a file in it; undefined when all are empty. */
export async function findFiles(
  directory: string,
  hostname: string,
): Promise<PairFiles | undefined> {
  for (const files of candidateFiles(directory, hostname)) {
    if (await exists(files.cert) || await exists(files.key)) return files;
  }
  return undefined;
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
  const found = await findFiles(directory, hostname) ?? candidateFiles(directory, hostname)[0]!;
  return await loadFiles(found, [hostname, ...extraNames]);
}

/**
 * Loads a certificate from known files and checks that clients can use it.
 *
 * @param wanted names that it must cover
 * @param now for its dates, ms since the epoch; "any": out of date will do, too
 * @throws {CertificateError} like {@linkcode loadManual}
 */
export async function loadFiles(
  { cert: certPath, key: keyPath }: PairFiles,
  wanted: string[],
  now: number | "any" = Date.now(),
): Promise<Certificate> {
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
  const missing = wanted.filter((name) => !coversName(names, name));
  if (missing.length > 0) {
    const has = names.length > 0 ? names.slice(0, 10).join(", ") : "no host at all";
    throw new CertificateError(
      `Cannot use certificate ${certPath}: it is for ${has}, not for ${missing.join(", ")}; ` +
        "get one that names it, or start with another --hostname",
    );
  }
  if (now !== "any") checkDates(leaf, certPath, now);
  const oneFile = certPath === keyPath;
  if (!leaf.checkPrivateKey(parseKey(oneFile ? keysOnly(key) : key, keyPath))) {
    throw new CertificateError(
      `Cannot use key ${keyPath}: it belongs to another certificate than ${certPath}; ` +
        "put the two made together there",
    );
  }
  if (oneFile) return { cert: certificatesOnly(cert), key: keysOnly(key) };
  return { cert: cert.endsWith("\n") ? cert : cert + "\n", key };
}

/** Refuses a certificate whose time has not come or is over. */
function checkDates(certificate: X509Certificate, path: string, now: number): void {
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
