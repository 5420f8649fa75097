/**
 * The private CA's certificate, renewed while the server runs.
 *
 * @module
 */

import { canonicalName } from "../inspect.ts";
import { ensureSelfSigned, type SelfSigned } from "../self_signed.ts";
import { type CertificateSource, SourceBase } from "../source.ts";
import { Ticker } from "../ticker.ts";

const CHECK_MS = 3_600_000;

/** Where the files are and what names the certificate is for. */
export interface SelfSignedOptions {
  directory: string;
  /** The first names the files. */
  names: string[];
  /** Between two looks at the dates, ms. */
  checkMs?: number;
}

/** A source whose certificates are from our private CA. */
export interface SelfSignedSource extends CertificateSource {
  /** With the PEM of the CA, and where it is. */
  readonly current: SelfSigned;
}

/**
 * Gives a certificate of the private CA, made on the first start and renewed when fewer than 30
 * days are left.
 *
 * @throws {CertificateError} as {@linkcode ensureSelfSigned}
 */
export async function openSelfSigned(options: SelfSignedOptions): Promise<SelfSignedSource> {
  const made = await ensureSelfSigned(options.directory, options.names);
  return new PrivateSource(options, made);
}

class PrivateSource extends SourceBase implements SelfSignedSource {
  readonly #options: SelfSignedOptions;
  readonly #ticker: Ticker;
  #made: SelfSigned;

  constructor(options: SelfSignedOptions, made: SelfSigned) {
    super("selfsigned", options.names.map(canonicalName));
    this.#options = options;
    this.#made = made;
    this.use(made);
    this.#ticker = new Ticker(options.checkMs ?? CHECK_MS, () => this.#check());
  }

  override get current(): SelfSigned {
    return this.#made;
  }

  async reload(): Promise<void> {
    await this.#ticker.run();
  }

  async close(): Promise<void> {
    await this.#ticker.close();
  }

  async #check(): Promise<void> {
    try {
      this.#made = await ensureSelfSigned(this.#options.directory, this.#options.names);
      this.use(this.#made);
    } catch (error) {
      this.failed(error);
    }
  }
}
