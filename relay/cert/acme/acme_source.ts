/**
 * A certificate from a CA by ACME (RFC 8555), and the next one in time, with no hands.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { CertificateError } from "../error.ts";
import { SourceBase } from "../source.ts";
import { issue } from "./issue.ts";
import { type AcmeOptions, type AcmeSettings, checkOptions } from "./options.ts";
import { IssueError } from "./problem.ts";
import { AcmeStore } from "./store.ts";

const logger = getLogger(["nexd", "relay", "cert"]);

/** From this many failures on, the pause is kept over a restart: a crash loop must not ask on. */
const PATIENT_FAILURES = 3;
/** Between two looks at whether another process is done with its attempt. */
const CLAIM_MS = 1_000;

/**
 * A certificate by ACME. Port 80 must answer with `challenge()`, or the TLS port must serve what
 * `presentAlpn` gets, before `start()` is called.
 *
 * It asks again when a third of the validity is left, or a little earlier, by the wall clock. A
 * failed attempt is repeated after 1 minute, then twice as long each time, up to 30 minutes or what
 * the CA asks for; until then the old certificate stays.
 */
export class AcmeSource extends SourceBase {
  readonly #settings: AcmeSettings;
  readonly #store: AcmeStore;
  readonly #tokens = new Map<string, string>();
  readonly #ending = new AbortController();
  #wake: (() => void) | undefined;
  #starting: Promise<void> | undefined;
  #loop: Promise<void> | undefined;
  #failures = 0;
  /** No attempt before this, by `performance.now()`: clock steps do not matter. */
  #notBefore = 0;
  /** Whether the CA itself asked to wait. */
  #limited = false;
  #jitter = 0;
  #fromElsewhere = false;

  /** @throws {CertificateError} with the flag that is wrong */
  constructor(options: AcmeOptions) {
    const settings = checkOptions(options);
    super(settings.mode, settings.names);
    this.#settings = settings;
    this.#store = new AcmeStore(settings.directory, settings.names);
  }

  /**
   * Resolves when there is a certificate: at once when the one on disk is in date. An expired one is
   * served, too, while the CA is away, and renewed in the background.
   *
   * @throws {CertificateError} when the CA refuses the account or the name, or when there is no
   * certificate at all and the first attempt fails
   */
  start(): Promise<void> {
    return this.#starting = this.#start();
  }

  async #start(): Promise<void> {
    await this.#store.open();
    await this.#loadFromDisk();
    const { facts } = this;
    if (facts === undefined || facts.notAfter <= this.#settings.now()) {
      const pause = await this.#keptPause();
      if (facts === undefined) await this.#sleep(pause);
      const error = facts === undefined || pause === 0 ? await this.#attempt() : undefined;
      if (error !== undefined && (error.mistake || this.facts === undefined)) {
        throw new CertificateError(error.message);
      }
    }
    if (!this.#ending.signal.aborted) this.#loop = this.#run();
  }

  override challenge(token: string): string | undefined {
    return this.#tokens.get(token);
  }

  async reload(): Promise<void> {
    try {
      await this.#loadFromDisk();
    } catch (error) {
      this.failed(error);
    }
    if (!this.#limited) this.#notBefore = 0;
    this.#wake?.();
  }

  async close(): Promise<void> {
    this.#ending.abort();
    this.#wake?.();
    await this.#starting?.catch(() => {}); // told to who started it
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const wait = this.#waitMs();
      if (wait > 0) await this.#pause(Math.min(wait, this.#settings.times.checkMs));
      else await this.#attempt();
    }
  }

  /** How long until the next attempt is due, ms. */
  #waitMs(): number {
    const now = this.#settings.now();
    const pause = this.#notBefore - performance.now();
    const renewal = this.#renewAt() - now;
    const wait = Math.max(pause, renewal);
    this.nextTry = now + Math.max(0, Math.ceil(wait));
    return wait;
  }

  /** When the certificate is due for renewal, ms since the epoch. */
  #renewAt(): number {
    const { facts } = this;
    if (facts === undefined || this.#fromElsewhere) return 0;
    const life = facts.notAfter - facts.notBefore;
    // Up to a thirtieth of the life, at most a day, earlier, so that a fleet does not come at once.
    const early = Math.min(life / 30, 86_400_000) * this.#jitter;
    return facts.notAfter - life / 3 - early;
  }

  async #loadFromDisk(): Promise<void> {
    const { directoryUrl, random } = this.#settings;
    const certificate = await this.#store.load();
    if (certificate === undefined) return;
    const { issuedBy } = await this.#store.state(directoryUrl);
    // Served until there is one of the CA that is asked for now.
    this.#fromElsewhere = issuedBy !== undefined && issuedBy !== directoryUrl;
    const before = this.facts;
    this.use(certificate);
    if (this.facts !== before) this.#jitter = random();
  }

  /** One attempt; what went wrong is kept in the status, logged, and returned. */
  async #attempt(): Promise<IssueError | undefined> {
    const { times, hostname } = this.#settings;
    const timeout = AbortSignal.timeout(times.attemptMs);
    const signal = AbortSignal.any([this.#ending.signal, timeout]);
    try {
      signal.throwIfAborted(); // stopped in a pause
      using _claim = await this.#claim(signal);
      // Another process may have been faster: at an upgrade two of them run side by side.
      await this.#loadFromDisk();
      if (this.#renewAt() > this.#settings.now()) return undefined;
      logger.info("asking {url} for a certificate for {hostname}", {
        url: this.#settings.directoryUrl,
        hostname,
      });
      await issue({ settings: this.#settings, store: this.#store, tokens: this.#tokens }, signal);
      await this.#loadFromDisk();
      await this.#settled();
      return undefined;
    } catch (error) {
      if (this.#ending.signal.aborted) {
        return new IssueError(`Cannot get a certificate for ${hostname}: stopped while asking`);
      }
      const failure = error instanceof IssueError
        ? error
        : new IssueError(error instanceof Error ? error.message : String(error));
      await this.#postpone(failure);
      return failure;
    }
  }

  async #claim(signal: AbortSignal): Promise<Disposable> {
    for (;;) {
      const claim = await this.#store.claim();
      if (claim !== undefined) return claim;
      await this.#pause(CLAIM_MS);
      if (signal.aborted) {
        throw new IssueError(
          `Cannot get a certificate for ${this.#settings.hostname}: another process is asking for ` +
            "one and does not end",
        );
      }
    }
  }

  async #settled(): Promise<void> {
    this.#failures = 0;
    this.#notBefore = 0;
    this.#limited = false;
    const { failures: _, retryAt: __, ...state } = await this.#store.state(
      this.#settings.directoryUrl,
    );
    await this.#store.remember(state);
    if (this.#renewAt() <= this.#settings.now()) {
      // A CA whose certificates are old when they come, or a clock that is far off.
      throw new IssueError(
        `Cannot keep the new certificate for ${this.#settings.hostname}: it is due for renewal ` +
          "already; check this host's clock",
      );
    }
  }

  async #postpone(failure: IssueError): Promise<void> {
    const { times, now, random, directoryUrl } = this.#settings;
    this.#failures++;
    const growing = times.firstRetryMs * 2 ** Math.min(this.#failures - 1, 20);
    const pause = Math.max(Math.min(growing, times.maxRetryMs), failure.retryAfterMs ?? 0);
    const wait = pause * (1 + random() / 10);
    this.#limited = failure.retryAfterMs !== undefined;
    this.#notBefore = performance.now() + wait;
    this.nextTry = now() + Math.ceil(wait);
    this.failed(failure);
    try {
      const state = await this.#store.state(directoryUrl);
      await this.#store.remember({
        ...state,
        failures: this.#failures,
        ...(this.#limited || this.#failures >= PATIENT_FAILURES ? { retryAt: this.nextTry } : {}),
      });
    } catch (error) {
      this.failed(error);
    }
  }

  /** The pause of an earlier process, should it have been restarted to try again; ms. */
  async #keptPause(): Promise<number> {
    const { now, times, directoryUrl, hostname } = this.#settings;
    const { retryAt, failures } = await this.#store.state(directoryUrl);
    this.#failures = Number.isSafeInteger(failures) ? failures! : 0;
    const wait = typeof retryAt === "number" ? retryAt - now() : 0;
    // A clock that was set back would make us wait for ever.
    if (!(wait > 0) || wait > 2 * Math.max(86_400_000, times.maxRetryMs)) return 0;
    this.#notBefore = performance.now() + wait;
    this.nextTry = now() + Math.ceil(wait);
    logger.warn("attempts for {hostname} failed before: the next one is in {seconds} s", {
      hostname,
      seconds: Math.ceil(wait / 1000),
    });
    return wait;
  }

  /** Waits for so long, whoever wakes us. */
  async #sleep(ms: number): Promise<void> {
    const until = performance.now() + ms;
    while (!this.#ending.signal.aborted && performance.now() < until) {
      await this.#pause(until - performance.now());
    }
  }

  /** Waits, or less when woken. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ending.signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, Math.max(0, ms));
      this.#wake = done;
    });
  }
}
