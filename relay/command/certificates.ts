/** From the flags to the source of the relay's certificate. */
import { isIP } from "node:net";
import {
  AcmeSource,
  type CertificateSource,
  openManual,
  openSelfSigned,
  reasonOf,
} from "../cert/mod.ts";
import { RelayError } from "../errors.ts";
import type { PresentAlpn } from "../relay.ts";
import type { Settings } from "./settings.ts";

/** A source, and how it gets its first certificate. */
export interface OpenedSource {
  source: CertificateSource;
  /** Where the private CA's certificate is, when there is one. */
  caPath: string | undefined;
  /** Waits for the first certificate; port 80 has to answer challenges then. */
  ready?: () => Promise<void>;
  /** Told how a challenge is answered on the TLS port. */
  presenter?: (present: PresentAlpn) => void;
}

/**
 * Opens the source of the certificate for the hostname and for further names.
 *
 * @throws CertificateError or RelayError for what cannot be used
 */
export async function openSource(
  settings: Settings,
  alsoNames: readonly string[] = [],
): Promise<OpenedSource | undefined> {
  const { certificate, hostname } = settings;
  const { mode, directory } = certificate;
  switch (mode) {
    case "none":
      return undefined;
    case "manual":
      return {
        source: await openManual({ directory, hostname, alsoNames }),
        caPath: undefined,
      };
    case "selfsigned": {
      const source = await openSelfSigned({ directory, names: [hostname, ...alsoNames] });
      return { source, caPath: source.current.caPath };
    }
    case "letsencrypt":
    case "gcp": {
      const later: { present?: PresentAlpn } = {};
      const source = new AcmeSource({
        mode,
        directory,
        hostname,
        alsoNames,
        directoryUrl: certificate.acmeDirectory,
        email: certificate.email,
        eab: certificate.eab,
        ca: await caOf(certificate.acmeCa),
        ipCerts: isIP(hostname) !== 0,
        // Without port 80 the name is proven on the TLS port.
        http: settings.httpPort !== undefined,
        presentAlpn: (challenge) => later.present?.(challenge),
      });
      return {
        source,
        caPath: undefined,
        ready: () => source.start(),
        presenter: (present) => void (later.present = present),
      };
    }
  }
}

async function caOf(path: string | undefined): Promise<string | undefined> {
  return path === undefined ? undefined : await readPem(path, "--acme-ca");
}

/**
 * Reads a file of PEM certificates.
 *
 * @throws RelayError naming the flag and the file
 */
export async function readPem(path: string, flag: string): Promise<string> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "no such file" : reasonOf(error);
    throw new RelayError(`Cannot read ${flag} ${path}: ${reason}; check the path`, 2);
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new RelayError(`Cannot use ${flag} ${path}: no PEM certificate in it; give a CA's`, 2);
}
