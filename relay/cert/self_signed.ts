/**
 * Certificates from a private CA of our own, for places without a public name.
 *
 * One directory holds the CA (`ca.crt` for clients to trust, `ca.key`) and a leaf per host. The CA
 * may sign leaves only (path length 0) and lives ten years; a leaf lives 397 days, the longest that
 * all clients take, and is renewed when fewer than 30 are left or its names change.
 *
 * A file that cannot be read or is not ours is never overwritten. A key is written before its
 * certificate, so a start that was cut short leaves a key alone, which the next start goes on with.
 *
 * @module
 */

import { createPublicKey, type KeyObject, type X509Certificate } from "node:crypto";
import { join } from "node:path";
import { CertificateError } from "./error.ts";
import { locked, makeDirectory, readIfExists, writeAtomic } from "./files.ts";
import {
  canonicalName,
  type Certificate,
  isIpAddress,
  parseChain,
  parseKey,
  subjectNames,
} from "./inspect.ts";
import { certificateFileName } from "./manual.ts";
import { ECDSA_P256, loadX509, randomSerial, toPem } from "./x509.ts";

/** A certificate of the private CA. */
export interface SelfSigned extends Certificate {
  /** PEM of the CA, for clients to trust. */
  ca: string;
  /** Where that PEM is. */
  caPath: string;
}

/** How the common names of our private CAs begin. */
export const PRIVATE_CA_NAME = "nexd private CA";

const DAY_MS = 86_400_000;
const CA_LIFE_MS = 3650 * DAY_MS;
const LEAF_LIFE_MS = 397 * DAY_MS;
const RENEW_MS = 30 * DAY_MS;
/** Certificates start an hour in the past, for clients whose clock is slow. */
const CLOCK_SKEW_MS = 3_600_000;
const KEY_MODE = 0o600;
const CERT_MODE = 0o644;

/** A certificate on disk with its key. */
interface Pair {
  certificate: X509Certificate;
  pem: string;
  key: KeyObject;
  keyPem: string;
}

/**
 * Gives a certificate for `names`, making the CA and the leaf if they are not there yet.
 *
 * @param directory of the files; made with mode 0700 when missing
 * @param names DNS names and IP addresses; the first one names the leaf's files
 * @throws {CertificateError} when a name is none, a file is damaged or not ours, or cannot be
 * written
 */
export async function ensureSelfSigned(directory: string, names: string[]): Promise<SelfSigned> {
  const wanted = [...new Set(names.map(checkName))];
  const base = certificateFileName(names[0] ?? "");
  if (base === "ca") {
    throw new CertificateError(
      `Cannot make a certificate for host "ca": its files would be those of the private CA; ` +
        "choose another --hostname",
      2,
    );
  }
  await makeDirectory(directory);
  return await locked(directory, async () => {
    const caPath = join(directory, "ca.crt");
    const ca = await ensureAuthority(caPath, join(directory, "ca.key"));
    const leaf = await ensureLeaf(join(directory, base), wanted, ca, caPath);
    return { cert: leaf.pem, key: leaf.keyPem, ca: ca.pem, caPath };
  });
}

async function ensureAuthority(certPath: string, keyPath: string): Promise<Pair> {
  const remedy = `restore it, or remove ${certPath} and ${keyPath} to make a new CA`;
  const pem = await readIfExists(certPath);
  const keyPem = await readIfExists(keyPath);
  if (pem !== undefined) {
    if (keyPem === undefined) {
      throw new CertificateError(
        `Cannot use private CA ${certPath}: ${keyPath} is gone; ${remedy}`,
      );
    }
    const pair = checkPair(pem, certPath, keyPem, keyPath, remedy);
    const { certificate } = pair;
    if (!certificate.ca) {
      throw new CertificateError(`Cannot use private CA ${certPath}: it is no CA; ${remedy}`);
    }
    const now = Date.now();
    if (now < Date.parse(certificate.validFrom) || now > Date.parse(certificate.validTo)) {
      throw new CertificateError(
        `Cannot use private CA ${certPath}: it is valid from ${certificate.validFrom} to ` +
          `${certificate.validTo}; check the clock, or remove it and ${keyPath} to make a new CA`,
      );
    }
    return pair;
  }

  const key = await ensureKey(keyPem, keyPath);
  const { X509CertificateGenerator, ...x509 } = await loadX509();
  const keys = await webCryptoKeys(key.key, keyPath);
  const now = Date.now();
  // A number in the name keeps two private CAs apart in a client's trust store.
  const serialNumber = randomSerial();
  const made = await X509CertificateGenerator.createSelfSigned({
    serialNumber,
    name: [{ CN: [`${PRIVATE_CA_NAME} ${serialNumber.slice(0, 8)}`] }],
    notBefore: new Date(now - CLOCK_SKEW_MS),
    notAfter: new Date(now - CLOCK_SKEW_MS + CA_LIFE_MS),
    signingAlgorithm: ECDSA_P256,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const madePem = toPem("CERTIFICATE", made.rawData);
  await writeAtomic(certPath, madePem, CERT_MODE);
  return { certificate: parseChain(madePem, certPath)[0], pem: madePem, ...key };
}

async function ensureLeaf(
  base: string,
  names: string[],
  ca: Pair,
  caPath: string,
): Promise<Pair> {
  const [certPath, keyPath] = [`${base}.crt`, `${base}.key`];
  const remedy = `remove ${certPath} and ${keyPath} to make new ones`;
  const pem = await readIfExists(certPath);
  const keyPem = await readIfExists(keyPath);
  if (pem !== undefined) {
    if (keyPem === undefined) {
      throw new CertificateError(
        `Cannot use certificate ${certPath}: ${keyPath} is gone; ${remedy}`,
      );
    }
    const pair = checkPair(pem, certPath, keyPem, keyPath, remedy);
    const { certificate } = pair;
    if (certificate.issuer !== ca.certificate.subject || !verifies(certificate, ca.certificate)) {
      throw new CertificateError(
        `Cannot use certificate ${certPath}: it is not from the private CA ${caPath}; ` +
          `use --certmode manual, or ${remedy}`,
      );
    }
    const now = Date.now();
    const has = subjectNames(certificate);
    const fresh = now >= Date.parse(certificate.validFrom) &&
      now + RENEW_MS < Date.parse(certificate.validTo);
    const same = has.length === names.length && names.every((name) => has.includes(name));
    if (fresh && same) return pair;
  }

  // A renewed certificate keeps its key: one file changes, so the two can never disagree.
  const key = await ensureKey(keyPem, keyPath);
  const { X509CertificateGenerator, X509Certificate, ...x509 } = await loadX509();
  const { publicKey } = await webCryptoKeys(key.key, keyPath);
  const authority = await webCryptoKeys(ca.key, caPath);
  const issuer = new X509Certificate(ca.pem);
  const start = Date.now() - CLOCK_SKEW_MS;
  const end = Math.min(start + LEAF_LIFE_MS, issuer.notAfter.getTime());
  const first = names[0]!;
  const made = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: first.length <= 64 ? [{ CN: [first] }] : [], // the common name's limit in X.520
    issuer: issuer.subjectName,
    notBefore: new Date(start),
    notAfter: new Date(end),
    signingAlgorithm: ECDSA_P256,
    publicKey,
    signingKey: authority.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((name) => ({
          type: isIpAddress(name) ? "ip" as const : "dns" as const,
          value: name,
        })),
        first.length > 64,
      ),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  const madePem = toPem("CERTIFICATE", made.rawData);
  await writeAtomic(certPath, madePem, CERT_MODE);
  return { certificate: parseChain(madePem, certPath)[0], pem: madePem, ...key };
}

/** The key of `pem`, or a new one written to `path` when there is none. */
async function ensureKey(
  pem: string | undefined,
  path: string,
): Promise<{ key: KeyObject; keyPem: string }> {
  if (pem !== undefined) return { key: parseKey(pem, path), keyPem: pem };
  const { privateKey } = await crypto.subtle.generateKey(ECDSA_P256, true, ["sign", "verify"]);
  const made = toPem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", privateKey));
  await writeAtomic(path, made, KEY_MODE);
  return { key: parseKey(made, path), keyPem: made };
}

function checkPair(
  pem: string,
  certPath: string,
  keyPem: string,
  keyPath: string,
  remedy: string,
): Pair {
  const [certificate] = parseChain(pem, certPath);
  const key = parseKey(keyPem, keyPath);
  if (!certificate.checkPrivateKey(key)) {
    throw new CertificateError(
      `Cannot use key ${keyPath}: it belongs to another certificate than ${certPath}; ${remedy}`,
    );
  }
  return { certificate, pem, key, keyPem };
}

function verifies(certificate: X509Certificate, ca: X509Certificate): boolean {
  try {
    return certificate.verify(ca.publicKey);
  } catch {
    return false; // a signature of another kind than the CA's
  }
}

/** The form that signing needs. */
async function webCryptoKeys(key: KeyObject, path: string): Promise<CryptoKeyPair> {
  try {
    const pkcs8 = key.export({ type: "pkcs8", format: "der" });
    const spki = createPublicKey(key).export({ type: "spki", format: "der" });
    const [privateKey, publicKey] = await Promise.all([
      crypto.subtle.importKey("pkcs8", new Uint8Array(pkcs8), ECDSA_P256, true, ["sign"]),
      crypto.subtle.importKey("spki", new Uint8Array(spki), ECDSA_P256, true, ["verify"]),
    ]);
    return { privateKey, publicKey };
  } catch {
    throw new CertificateError(
      `Cannot use key ${path}: it is no P-256 key; restore the one made here, or use ` +
        "--certmode manual",
    );
  }
}

/** A name as a certificate holds it. */
function checkName(name: string): string {
  const canonical = canonicalName(name);
  const label = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?";
  const dns = new RegExp(`^(\\*\\.)?(${label}\\.)*${label}$`);
  if (isIpAddress(canonical) && !canonical.includes("%")) return canonical;
  if (canonical.length <= 253 && dns.test(canonical) && !/(^|\.)[0-9]+$/.test(canonical)) {
    return canonical;
  }
  throw new CertificateError(
    `Cannot make a certificate for "${name}": it is neither a DNS name nor an IP address; ` +
      "choose another --hostname",
    2,
  );
}
