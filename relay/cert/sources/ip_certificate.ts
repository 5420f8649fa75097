/**
 * A self-signed certificate for an IP address, for clients that pin it by its hash: no CA is asked
 * and none is trusted (DERP: certificates, manual and self-signed).
 *
 * @module
 */

import { dirname } from "node:path";
import { locked, makeDirectory, writeAtomic } from "../files.ts";
import { canonicalName } from "../inspect.ts";
import { findFiles, type PairFiles } from "../manual.ts";
import { ECDSA_P256, loadX509, randomSerial, toPem } from "../x509.ts";

const YEAR_MS = 365 * 86_400_000;

/**
 * Makes a P-256 certificate for an IP address, valid for one year from now, unless there is one.
 *
 * @param files where it and its key go: mode 0644 and 0600, the directory 0700 when it is new
 * @throws {CertificateError} when they cannot be written
 */
export async function makeIpCertificate(files: PairFiles, hostname: string): Promise<void> {
  const directory = dirname(files.cert);
  await makeDirectory(directory);
  await locked(directory, async () => {
    if (await findFiles(directory, hostname) !== undefined) return; // another start was faster
    const { X509CertificateGenerator, ...x509 } = await loadX509();
    const address = canonicalName(hostname);
    const keys = await crypto.subtle.generateKey(ECDSA_P256, true, ["sign", "verify"]);
    const now = Date.now();
    const made = await X509CertificateGenerator.createSelfSigned({
      serialNumber: randomSerial(),
      name: [{ CN: [address] }],
      notBefore: new Date(now),
      notAfter: new Date(now + YEAR_MS),
      signingAlgorithm: ECDSA_P256,
      keys,
      extensions: [
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
          true,
        ),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.SubjectAlternativeNameExtension([{ type: "ip", value: address }]),
      ],
    });
    const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
    await writeAtomic(files.key, toPem("PRIVATE KEY", key), 0o600);
    await writeAtomic(files.cert, toPem("CERTIFICATE", made.rawData), 0o644);
  });
}
