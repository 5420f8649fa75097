/** What the pages need of the relay. */
import type { CertificateStatus } from "../../cert/mod.ts";
import type { RelaySnapshot } from "../../state/mod.ts";
import type { StunCounters } from "../../stun/server.ts";
import type { BootstrapDns } from "../dns/mod.ts";
import type { RelayMetrics } from "../metrics/mod.ts";
import type { DebugRule } from "./debug_rule.ts";

export interface AppState {
  version: string;
  /** The name that clients dial; may be empty. */
  hostname: string;
  /** Problems found by comparing the relay's tables; empty when all is well. */
  check(): string[] | Promise<string[]>;
  /** The relay's state, summed over its workers. */
  snapshot(): Promise<RelaySnapshot>;
  metrics: RelayMetrics;
  /** Undefined without TLS. */
  certificate(): CertificateStatus | undefined;
  debug: DebugRule;
  /** The value of `--home`: empty, `blank` or a URL. */
  home: string;
  /** False: `--derp=false`, only probes, STUN and bootstrap DNS. */
  derp: boolean;
  /** Whether a mesh key is set. */
  meshKey: boolean;
  bootstrapDns?: BootstrapDns | undefined;
  /** The answer to an ACME HTTP-01 token (RFC 8555 section 8.3). Undefined: no ACME here. */
  challenge?: ((token: string) => string | undefined) | undefined;
  /** Undefined: no STUN server. */
  stun(): StunCounters | undefined;
}

/** What the socket side tells of a request: it cannot be read from the request itself. */
export interface RequestEnv {
  /** The client's IP address. */
  remoteAddress: string;
}

/** Asks for a snapshot at most every so often, however many pages are asked for. */
export class SharedSnapshot {
  readonly #ask: () => Promise<RelaySnapshot>;
  readonly #maxAgeMs: number;
  #asked = -Infinity;
  #answer: Promise<RelaySnapshot> | undefined;

  constructor(ask: () => Promise<RelaySnapshot>, maxAgeMs: number) {
    this.#ask = ask;
    this.#maxAgeMs = maxAgeMs;
  }

  get(): Promise<RelaySnapshot> {
    const now = performance.now();
    if (this.#answer === undefined || now - this.#asked > this.#maxAgeMs) {
      this.#asked = now;
      this.#answer = this.#ask();
      // Not kept beyond its failure.
      this.#answer.catch(() => this.#answer = undefined);
    }
    return this.#answer;
  }
}
