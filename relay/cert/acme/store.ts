/**
 * What an ACME source keeps in its directory, all of it with mode 0600:
 *
 * - `NAME`: the leaf's key and the chain in one file, so that the two can never disagree. It is the
 *   form and the name that derper's ACME client uses, so either relay can take over from the other.
 * - `acme-account.key`: the account's key. derper's `acme_account+key` is used when there is none.
 * - `NAME.acme.json`: the account's address, an order under way, and how attempts went.
 *
 * @module
 */

import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import {
  locked,
  makeDirectory,
  openToOthers,
  readIfExists,
  writeAtomic,
  writeError,
} from "../files.ts";
import { type Certificate, certificatesOnly, factsOf, keysOnly, parseKey } from "../inspect.ts";
import { candidateFiles, dottedName, loadFiles, type PairFiles } from "../manual.ts";
import { PRIVATE_CA_NAME } from "../self_signed.ts";
import { ECDSA_P256, toPem } from "../x509.ts";

const logger = getLogger(["nexd", "relay", "cert"]);

const KEY_MODE = 0o600;

/** An order that a CA is working on. */
export interface PendingOrder {
  url: string;
  /** PEM of the key its certificate will be for. */
  key: string;
}

/** What is remembered from one attempt to the next, also by another process. */
export interface AcmeState {
  /** The CA that the rest is about. */
  directoryUrl: string;
  /** URL of the account there. */
  account?: string;
  /** Hash of the key that the account is of. */
  accountKey?: string;
  order?: PendingOrder;
  /** Directory of the CA that the certificate on disk is from. */
  issuedBy?: string;
  /** Attempts that failed since the last good one. */
  failures?: number;
  /** No attempt before this time, ms since the epoch. */
  retryAt?: number;
}

/** The files of one name. */
export class AcmeStore {
  readonly #directory: string;
  readonly #hostname: string;
  readonly #names: string[];
  readonly #path: string;
  #warned: string | undefined;

  /** @param names all that the certificate has to be for; the first one names the files */
  constructor(directory: string, names: string[]) {
    const hostname = names[0]!;
    this.#directory = directory;
    this.#hostname = hostname;
    this.#names = names;
    this.#path = join(directory, dottedName(hostname));
  }

  /** Makes the directory, and says so when an old one, or a key in it, is open to others. */
  async open(): Promise<void> {
    await makeDirectory(this.#directory);
    await warnOfOthers(this.#directory, "700");
    for (const { key } of candidateFiles(this.#directory, this.#hostname)) {
      await warnOfOthers(key, "600");
    }
  }

  /** The certificate with the longest validity of those on disk, in date or not. */
  async load(): Promise<Certificate | undefined> {
    let best: { certificate: Certificate; notAfter: number } | undefined;
    let fault: unknown;
    for (const files of candidateFiles(this.#directory, this.#hostname)) {
      try {
        const certificate = await this.#loadFiles(files);
        if (certificate === undefined) continue;
        const { notAfter } = factsOf(certificate.cert);
        if (best === undefined || notAfter > best.notAfter) best = { certificate, notAfter };
      } catch (error) {
        fault = error;
      }
    }
    const reason = best === undefined && fault instanceof Error ? fault.message : undefined;
    if (reason !== undefined && reason !== this.#warned) {
      logger.warn("a certificate on disk is of no use: {reason}", { reason });
    }
    this.#warned = reason;
    return best?.certificate;
  }

  /** Writes a new certificate. */
  async save({ cert, key }: Certificate): Promise<void> {
    await writeAtomic(this.#path, keysOnly(key) + certificatesOnly(cert), KEY_MODE);
  }

  /** The account's key as PEM, made when there is none. */
  async accountKey(): Promise<string> {
    const path = join(this.#directory, "acme-account.key");
    return await locked(this.#directory, async () => {
      for (const place of [path, join(this.#directory, "acme_account+key")]) {
        const pem = await readIfExists(place);
        if (pem === undefined) continue;
        parseKey(pem, place);
        return pem;
      }
      const { privateKey } = await crypto.subtle.generateKey(ECDSA_P256, true, ["sign", "verify"]);
      const pem = toPem("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", privateKey));
      await writeAtomic(path, pem, KEY_MODE);
      return pem;
    });
  }

  /** What is remembered about a CA; little when it was another one, nothing of a damaged file. */
  async state(directoryUrl: string): Promise<AcmeState> {
    const text = await readIfExists(`${this.#path}.acme.json`);
    try {
      const state = JSON.parse(text ?? "{}") as AcmeState;
      if (state.directoryUrl === directoryUrl) return state;
      if (typeof state.issuedBy === "string") return { directoryUrl, issuedBy: state.issuedBy };
    } catch {
      // Everything in it can be asked of the CA again.
    }
    return { directoryUrl };
  }

  /** Remembers. */
  async remember(state: AcmeState): Promise<void> {
    await writeAtomic(`${this.#path}.acme.json`, JSON.stringify(state) + "\n", KEY_MODE);
  }

  /**
   * Lets only one process of this machine ask for certificates of this name.
   *
   * @returns undefined while another one does
   */
  async claim(): Promise<Disposable | undefined> {
    const path = `${this.#path}.acme.lock`;
    let file: Deno.FsFile;
    try {
      file = await Deno.open(path, { write: true, create: true, mode: KEY_MODE });
    } catch (error) {
      throw writeError(path, error);
    }
    if (await file.tryLock(true)) return { [Symbol.dispose]: () => file.close() };
    file.close();
    return undefined;
  }

  async #loadFiles(files: PairFiles): Promise<Certificate | undefined> {
    if (await readIfExists(files.cert) === undefined) return undefined;
    const certificate = await loadFiles(files, this.#names, "any");
    // Other modes leave certificates under these names which no public CA has signed.
    const { issuer, subject } = new X509Certificate(certificate.cert);
    const own = issuer === subject || issuer.includes(PRIVATE_CA_NAME);
    return own ? undefined : certificate;
  }
}

async function warnOfOthers(path: string, wanted: string): Promise<void> {
  const mode = await openToOthers(path);
  if (mode === undefined) return;
  logger.warn("{path} is for keys and has mode {mode}: others can look in; set it to {wanted}", {
    path,
    mode: mode.toString(8),
    wanted,
  });
}
