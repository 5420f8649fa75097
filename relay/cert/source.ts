/**
 * Where the certificate of a server comes from while it runs: it may change at any time, and its
 * owner opens a new listener when it does.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { CertificateError } from "./error.ts";
import { type Certificate, type CertificateFacts, factsOf } from "./inspect.ts";

const logger = getLogger(["nexd", "relay", "cert"]);

const REMIND_MS = 86_400_000;

/** What a page or a person wants to know about a certificate. */
export interface CertificateStatus {
  /** `manual`, `selfsigned`, `letsencrypt` or `gcp`. */
  mode: string;
  /** Names the certificate is for; those asked for while there is none. */
  names: string[];
  /** End of its validity, ms since the epoch; 0 while there is none. */
  notAfter: number;
  /** Who signed it, empty while there is none. */
  issuer: string;
  /** Why the last attempt to load or renew it failed, when it did. */
  lastError?: string;
  /** When the next attempt is due, ms since the epoch, when one is planned. */
  nextTry?: number;
  /**
   * `sha256-raw:` and the hash of the certificate, which a client can pin instead of trusting a CA
   * (DERP: `CertName`); only for an IP address and a chain of one.
   */
  pinned?: string;
}

/** A certificate that is kept good. */
export interface CertificateSource extends AsyncDisposable {
  /**
   * The certificate to serve now.
   *
   * @throws {CertificateError} before there is one
   */
  readonly current: Certificate;
  /** Called with each certificate after the first. */
  onChange: ((certificate: Certificate) => void) | undefined;
  /** Looks for a newer one at once (SIGHUP). Never throws: `status().lastError` tells. */
  reload(): Promise<void>;
  /** What `/.well-known/acme-challenge/TOKEN` answers (RFC 8555 section 8.3), when it is ours. */
  challenge(token: string): string | undefined;
  /** Tells how things are. */
  status(): CertificateStatus;
  /** Ends watching and renewing, and waits for what is under way. */
  close(): Promise<void>;
}

/** What all sources share: the current certificate, and saying so when it changes. */
export abstract class SourceBase implements CertificateSource {
  onChange: ((certificate: Certificate) => void) | undefined;
  protected facts: CertificateFacts | undefined;
  protected nextTry: number | undefined;
  #lastError: string | undefined;
  #loggedAt = 0;
  #current: Certificate | undefined;
  readonly #mode: string;
  readonly #wanted: string[];

  /** @param wanted names that the certificate shall be for */
  constructor(mode: string, wanted: string[]) {
    this.#mode = mode;
    this.#wanted = wanted;
  }

  get current(): Certificate {
    if (this.#current !== undefined) return this.#current;
    throw new CertificateError(
      `Cannot serve ${this.#wanted.join(", ")}: there is no certificate yet; wait for the first`,
    );
  }

  abstract reload(): Promise<void>;
  abstract close(): Promise<void>;

  challenge(_token: string): string | undefined {
    return undefined;
  }

  status(): CertificateStatus {
    const { facts } = this;
    return {
      mode: this.#mode,
      names: facts?.names ?? this.#wanted,
      notAfter: facts?.notAfter ?? 0,
      issuer: facts?.issuer ?? "",
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      ...(this.nextTry === undefined ? {} : { nextTry: this.nextTry }),
      ...(facts?.pinned === undefined ? {} : { pinned: facts.pinned }),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Serves a certificate from now on; tells the owner when it is another than before. */
  protected use(certificate: Certificate): void {
    this.#lastError = undefined;
    const before = this.#current;
    if (before?.cert === certificate.cert && before.key === certificate.key) return;
    this.facts = factsOf(certificate.cert);
    this.#current = certificate;
    if (before === undefined) return;
    logger.info("certificate for {names} changed: by {issuer}, valid until {until}", {
      names: this.facts.names.join(", "),
      issuer: this.facts.issuer,
      until: new Date(this.facts.notAfter).toISOString(),
    });
    try {
      this.onChange?.(certificate);
    } catch (error) {
      logger.error("changed certificate cannot be served: {error}", { error });
    }
  }

  /** Notes what went wrong; the same reason is logged once a day. */
  protected failed(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const now = performance.now();
    if (reason === this.#lastError && now - this.#loggedAt < REMIND_MS) return;
    this.#lastError = reason;
    this.#loggedAt = now;
    if (this.#current === undefined) logger.warn("no certificate yet: {reason}", { reason });
    else logger.warn("the old certificate stays in use: {reason}", { reason });
  }
}
