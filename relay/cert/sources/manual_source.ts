/**
 * The operator's certificate, loaded again when its files change.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { openToOthers } from "../files.ts";
import { canonicalName, isIpAddress } from "../inspect.ts";
import { candidateFiles, findFiles, loadFiles } from "../manual.ts";
import { type CertificateSource, SourceBase } from "../source.ts";
import { Ticker } from "../ticker.ts";
import { makeIpCertificate } from "./ip_certificate.ts";

const logger = getLogger(["nexd", "relay", "cert"]);

const CHECK_MS = 60_000;
/** Two files are rarely written in one go. */
const DEBOUNCE_MS = 500;
const WARN_BEFORE_MS = 14 * 86_400_000;

/** Where the files are, and how closely they are watched. */
export interface ManualOptions {
  directory: string;
  /** Names the files. */
  hostname: string;
  /** Further names that the certificate has to be for. */
  alsoNames?: readonly string[];
  /** False: look only each minute and at `reload()`. */
  watch?: boolean;
  /** Between two looks at the files, ms. */
  checkMs?: number;
  /** Quiet time after a change before the files are read, ms. */
  debounceMs?: number;
  /** The wall clock, ms since the epoch. */
  now?: () => number;
}

/**
 * Loads the operator's certificate and keeps looking for a newer one.
 *
 * For an IP address without files, a self-signed certificate is made, which clients can pin:
 * `status().pinned`.
 *
 * @throws {CertificateError} when the files cannot be used; later, a bad pair of files leaves the
 * old certificate in use
 */
export async function openManual(options: ManualOptions): Promise<CertificateSource> {
  const source = new ManualSource(options);
  try {
    await source.open();
  } catch (error) {
    await source.close();
    throw error;
  }
  return source;
}

class ManualSource extends SourceBase {
  readonly #options: ManualOptions;
  readonly #ticker: Ticker;
  readonly #now: () => number;
  #watcher: Deno.FsWatcher | undefined;
  #watching: Promise<void> | undefined;
  #debounce: ReturnType<typeof setTimeout> | undefined;
  #warnedKey: string | undefined;
  #warnedUntil = 0;

  constructor(options: ManualOptions) {
    super("manual", [options.hostname, ...options.alsoNames ?? []].map(canonicalName));
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#ticker = new Ticker(options.checkMs ?? CHECK_MS, () => this.#check());
  }

  /** The first load, which must go well. */
  async open(): Promise<void> {
    const { directory, hostname, watch = true } = this.#options;
    if (watch) this.#watch(); // first, so that no change falls between
    const made = isIpAddress(canonicalName(hostname)) &&
      await findFiles(directory, hostname) === undefined;
    if (made) await makeIpCertificate(candidateFiles(directory, hostname)[0]!, hostname);
    await this.#load();
    if (watch && made && this.#watcher === undefined) this.#watch(); // the directory is there now
  }

  async reload(): Promise<void> {
    await this.#ticker.run();
  }

  async close(): Promise<void> {
    clearTimeout(this.#debounce);
    try {
      this.#watcher?.close();
    } catch {
      // It has ended by itself.
    }
    await this.#watching;
    await this.#ticker.close();
  }

  async #check(): Promise<void> {
    try {
      await this.#load();
    } catch (error) {
      this.failed(error);
    }
    this.#warnOfEnd();
  }

  async #load(): Promise<void> {
    const { directory, hostname, alsoNames = [] } = this.#options;
    const files = await findFiles(directory, hostname) ?? candidateFiles(directory, hostname)[0]!;
    this.use(await loadFiles(files, [hostname, ...alsoNames], this.#now()));
    const mode = await openToOthers(files.key);
    if (mode !== undefined && this.#warnedKey !== files.key) {
      this.#warnedKey = files.key;
      logger.warn("key {key} has mode {mode}: others can read it; set it to 600", {
        key: files.key,
        mode: mode.toString(8),
      });
    }
  }

  #warnOfEnd(): void {
    const { facts } = this;
    if (facts === undefined || facts.notAfter === this.#warnedUntil) return;
    if (facts.notAfter - this.#now() > WARN_BEFORE_MS) return;
    this.#warnedUntil = facts.notAfter;
    logger.warn("certificate for {names} ends on {until}: put a renewed one into {directory}", {
      names: facts.names.join(", "),
      until: new Date(facts.notAfter).toISOString(),
      directory: this.#options.directory,
    });
  }

  #watch(): void {
    try {
      this.#watcher = Deno.watchFs(this.#options.directory, { recursive: false });
    } catch {
      return; // not everywhere, and not without limit; the minute's look finds changes too
    }
    this.#watching = this.#follow(this.#watcher);
  }

  async #follow(watcher: Deno.FsWatcher): Promise<void> {
    try {
      for await (const event of watcher) {
        if (event.kind === "access") continue; // our own reading
        clearTimeout(this.#debounce);
        this.#debounce = setTimeout(
          () => void this.#ticker.run(),
          this.#options.debounceMs ?? DEBOUNCE_MS,
        );
      }
    } catch {
      // The directory went away; the minute's look tells.
    }
    clearTimeout(this.#debounce);
  }
}
