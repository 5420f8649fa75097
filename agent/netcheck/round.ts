/**
 * One round of questions from one UDP port (RFC 8489, Binding): which address do STUN servers see,
 * and do they all see the same one.
 *
 * @module
 */
import { cleanText, reasonOf } from "../errors.ts";
import {
  encodeBindingRequest,
  newTransactionId,
  parseBindingResponse,
} from "../../relay/stun/mod.ts";
import { type AddressPort, refuseAnswer, type Verdict, verdictOf } from "./judge.ts";
import type { Resolver } from "./resolve.ts";
import { type Family, type StunPort, Unreachable } from "./ports/mod.ts";

/** Milliseconds from the first try to each: a lost packet costs little, four rarely get lost. */
const TRIES = [0, 100, 300, 1_000];
/** Two mappings tell the kind of NAT: more answers add nothing, unless the two differ. */
const ENOUGH = 2;
/** How long a third answer is waited for when two differ, and IPv6 when IPv4 is through, ms. */
const GRACE = 300;
/** When only some servers are asked at first: how long they have before the others are, ms. */
const PATIENCE = 400;
const MAX_SERVERS = 16;

/** How to ask. */
export interface RoundOptions {
  /** `host` or `host:port` (3478), preferred ones first. */
  servers: readonly string[];
  resolver: Resolver;
  /** Milliseconds for everything, name resolution too. */
  timeoutMs: number;
  /** How many servers are asked at first, for each IP version; all when left out. */
  first?: number;
  /** Each server is waited for, also when enough is known: for how fast each of them is. */
  every?: boolean;
  /** Tells whether an address lies inside the VPC. */
  inTunnel?: (address: string) => boolean;
  /** Ends the round at once. */
  signal?: AbortSignal;
}

/** What became of one server, over one IP version. */
export interface ServerReport {
  /** As it was given. */
  server: string;
  family: Family;
  /** `ip:port` that was asked. */
  target: string;
  /** `ip:port` that it saw. */
  seen?: string;
  rttMs?: number;
  /** Why it is of no use, in a few words. */
  error?: string;
}

/** What came out. */
export interface RoundResult {
  verdicts: Partial<Record<Family, Verdict>>;
  /** Every server that was asked, by IP version. */
  servers: ServerReport[];
  /** One sentence for each server that is of no use, and why. */
  errors: string[];
}

interface Asked {
  name: string;
  family: Family;
  at: AddressPort;
  tries: { txid: string; at: number }[];
  begun: boolean;
  seen?: string;
  rttMs?: number;
  error?: string;
}

/**
 * Asks and returns as soon as enough is known, all have failed or the time is over. Never throws: a
 * failure is told in `errors`. An answer counts only when it comes from the server asked, to a
 * request made, and can be true.
 */
export async function askRound(port: StunPort, options: RoundOptions): Promise<RoundResult> {
  const round = new Round(port, options);
  await round.finished;
  await round.stop();
  return round.result();
}

class Round {
  readonly finished: Promise<void>;
  readonly #finish: () => void;
  readonly #port: StunPort;
  readonly #options: RoundOptions;
  readonly #names: string[];
  /** Names that are not resolved yet. */
  #unresolved: number;
  readonly #asked: Asked[] = [];
  readonly #failed = new Map<string, string>();
  readonly #errors: string[] = [];
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #sending = new Set<Promise<void>>();
  readonly #limit: Record<Family, number>;
  readonly #graced = new Set<string>();
  #stopped = false;

  constructor(port: StunPort, options: RoundOptions) {
    ({ promise: this.finished, resolve: this.#finish } = Promise.withResolvers<void>());
    this.#port = port;
    this.#options = options;
    const first = options.first ?? MAX_SERVERS;
    this.#limit = { 4: first, 6: first };
    const names = [...new Set(options.servers)];
    if (names.length > MAX_SERVERS) this.#errors.push(`Only ${MAX_SERVERS} STUN servers are asked`);
    this.#names = names.slice(0, MAX_SERVERS);
    this.#unresolved = this.#names.length;
    this.#after(options.timeoutMs, this.#finish);
    options.signal?.addEventListener("abort", this.#finish);
    if (options.signal?.aborted) this.#finish();
    port.listen(
      (datagram, address, from) => this.#take(datagram, address, from),
      (reason) => {
        this.#errors.push(`Cannot receive STUN answers: ${reason}`);
        this.#finish();
      },
    );
    for (const name of this.#names) void this.#resolve(name);
    if (first < this.#names.length) {
      this.#after(PATIENCE, () => {
        this.#limit[4] = this.#limit[6] = MAX_SERVERS;
        this.#step();
      });
    }
    this.#step();
  }

  /** Ends receiving and every timer. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#options.signal?.removeEventListener("abort", this.#finish);
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#port.quiet();
    await Promise.all(this.#sending);
  }

  result(): RoundResult {
    const verdicts: RoundResult["verdicts"] = {};
    for (const family of [4, 6] as const) {
      const answers = this.#of(family).filter(({ seen }) => seen !== undefined);
      if (this.#of(family).length === 0) continue;
      const verdict = verdictOf(
        answers.map(({ at, seen }) => ({ server: at.address, seen: seen! })),
      );
      verdicts[family] = verdict;
      const odd = verdict.odd === undefined ? undefined : answers[verdict.odd];
      if (odd) odd.error = `it answers ${odd.seen}, two others agree on ${verdict.address}`;
    }
    return {
      verdicts,
      servers: this.#asked.filter(({ begun, error }) => begun || error !== undefined).map((
        one,
      ) => ({
        server: one.name,
        family: one.family,
        target: textOf(one.at),
        ...(one.seen === undefined ? {} : { seen: one.seen, rttMs: one.rttMs! }),
        ...(one.error === undefined
          ? one.seen === undefined ? { error: "no answer" } : {}
          : { error: one.error }),
      })),
      errors: [...this.#errors, ...this.#names.flatMap((name) => this.#errorOf(name) ?? [])],
    };
  }

  /** Why a server is of no use at all, as a sentence. */
  #errorOf(name: string): string | undefined {
    const asked = this.#asked.filter((one) => one.name === name);
    if (asked.some(({ seen, error }) => seen !== undefined && error === undefined)) {
      return undefined;
    }
    const reason = this.#failed.get(name) ?? asked.find(({ error }) => error !== undefined)?.error;
    // With two answers the others were not waited for: that is no failure of theirs.
    const enough = ([4, 6] as const).some((family) => this.#answers(family).length >= ENOUGH);
    if (reason === undefined && enough) return undefined;
    const why = reason ?? (asked.length > 0 ? "no answer" : "its name took too long");
    return `STUN server ${cleanText(name, 100)}: ${why}`;
  }

  async #resolve(name: string): Promise<void> {
    try {
      const addresses = await this.#options.resolver.resolve(name);
      if (this.#stopped) return;
      const usable = this.#port.families.filter((family) => addresses[family] !== undefined);
      if (usable.length === 0) {
        throw new Error(
          addresses[4] === undefined && addresses[6] === undefined
            ? "its name has no address"
            : `IPv${addresses[4] ? 6 : 4} only, this is IPv${addresses[4] ? 4 : 6}`,
        );
      }
      for (const family of usable) {
        const at = addresses[family]!;
        const twin = this.#of(family).find((one) => textOf(one.at) === textOf(at));
        if (twin !== undefined) {
          this.#failed.set(name, `the same address as ${cleanText(twin.name, 100)}`);
        } else this.#asked.push({ name, family, at, tries: [], begun: false });
      }
      const order = (one: Asked) => this.#names.indexOf(one.name);
      this.#asked.sort((a, b) => order(a) - order(b));
    } catch (error) {
      this.#failed.set(name, reasonOf(error, 120));
    } finally {
      this.#unresolved--;
      if (!this.#stopped) this.#step();
    }
  }

  #of(family: Family): Asked[] {
    return this.#asked.filter((one) => one.family === family);
  }

  #answers(family: Family): Asked[] {
    return this.#of(family).filter(({ seen }) => seen !== undefined);
  }

  /** Asks whom it is time to ask, and finishes when there is nothing left to wait for. */
  #step(): void {
    const done = ([4, 6] as const).filter((family) => this.#stepFamily(family));
    if (done.length === 2) this.#finish();
    // IPv6 may be there by name only, with packets going nowhere.
    else if (done.includes(4) && this.#answers(4).length > 0 && !this.#options.every) {
      this.#grace("ipv6");
    }
  }

  /** True when this IP version is through. */
  #stepFamily(family: Family): boolean {
    const all = this.#of(family);
    const answers = this.#answers(family);
    const waiting = all.filter((one) => one.begun && !one.seen && one.error === undefined);
    const alike = new Set(answers.map(({ seen }) => seen)).size <= 1;
    if (!this.#options.every) {
      if (answers.length >= ENOUGH && alike) return true;
      if (answers.length > ENOUGH) return true;
    }
    // Two that differ: a third one tells a liar from a symmetric NAT.
    if (answers.length === ENOUGH) this.#limit[family] = Math.max(this.#limit[family], ENOUGH + 1);
    const failures = all.filter(({ error }) => error !== undefined).length;
    for (const one of all) {
      const busy = all.filter(({ begun }) => begun).length;
      if (busy >= this.#limit[family] + failures) break;
      if (one.begun || one.error !== undefined) continue;
      this.#begin(one);
      waiting.push(one);
    }
    if (answers.length === ENOUGH && waiting.length > 0 && !this.#options.every) {
      if (this.#graced.has(`third ${family}`)) return true;
      this.#grace(`third ${family}`);
      return false;
    }
    return waiting.length === 0 && this.#unresolved === 0;
  }

  /** Lets a moment pass for what would be good to have; then it is done without. */
  #grace(what: string): void {
    if (this.#graced.has(what)) return;
    if (what === "ipv6") {
      this.#graced.add(what);
      this.#after(GRACE, this.#finish);
      return;
    }
    if (this.#graced.has(`${what} begun`)) return;
    this.#graced.add(`${what} begun`);
    this.#after(GRACE, () => {
      this.#graced.add(what);
      this.#step();
    });
  }

  #begin(one: Asked): void {
    one.begun = true;
    for (const delay of TRIES) {
      this.#after(delay, () => {
        const sending = this.#send(one);
        this.#sending.add(sending);
        void sending.finally(() => this.#sending.delete(sending));
      });
    }
  }

  /** Each try has an id of its own, so that the round-trip time is that of the try answered. */
  async #send(one: Asked): Promise<void> {
    if (one.seen !== undefined || one.error !== undefined) return;
    const txid = newTransactionId();
    one.tries.push({ txid: txid.toHex(), at: performance.now() });
    try {
      const request = encodeBindingRequest(txid);
      await this.#port.send(one.family, request, one.at.address, one.at.port);
    } catch (error) {
      if (this.#stopped) return;
      this.#fail(one, error instanceof Unreachable ? "no way there" : reasonOf(error, 120));
    }
  }

  #take(datagram: Uint8Array, address: string, port: number): void {
    if (this.#stopped) return;
    const one = this.#asked.find(({ at, begun }) =>
      begun && at.port === port && at.address === address
    );
    if (one === undefined || one.seen !== undefined || one.error !== undefined) return;
    const answer = parseBindingResponse(datagram);
    if (answer === undefined) return;
    const txid = answer.txid.toHex();
    const asked = one.tries.find((each) => each.txid === txid);
    if (asked === undefined) return;
    const refusal = refuseAnswer(answer, one.at, this.#options.inTunnel);
    if (refusal !== undefined) return this.#fail(one, refusal);
    one.seen = textOf(answer);
    one.rttMs = performance.now() - asked.at;
    this.#step();
  }

  #fail(one: Asked, reason: string): void {
    one.error = reason;
    this.#step();
  }

  #after(delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#stopped) action();
    }, delayMs);
    this.#timers.add(timer);
  }
}

/** `ip:port`, IPv6 in brackets. */
function textOf({ address, port }: AddressPort): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
