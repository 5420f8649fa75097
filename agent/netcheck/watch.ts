/**
 * Keeps knowing the NAT while WireGuard runs: a round every few seconds from WireGuard's own port,
 * one at once when the host's network changes, and one more where a change wants confirming.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { reasonOf } from "../errors.ts";
import { type NetworkWatch, watchNetwork } from "./network/mod.ts";
import { type Family, openRawPort, RawRefusal, type StunPort } from "./ports/mod.ts";
import { Resolver } from "./resolve.ts";
import { askRound, type RoundResult, type ServerReport } from "./round.ts";
import { fold, type View } from "./view.ts";

const log = getLogger(["nexd", "netcheck"]);

/** Time between rounds as Nexodus' agent has it, ms; each is up to a tenth shorter or longer. */
const PERIOD = 20_000;
const JITTER = 0.1;
/** Longest round, ms. */
const ROUND_LIMIT = 3_000;
/** Least time from the start of one round to that of the next, ms: whatever the network does. */
const LEAST_GAP = 1_000;
/** Pause before a change is confirmed, ms, and how often in a row that may be. */
const CONFIRM_PAUSE = 50, CONFIRMS = 2;
/** Rounds after a change of network that failed, because it is not up yet: pauses, ms. */
const RETRIES = [1_000, 2_000, 4_000, 8_000];
/** Servers asked in one round, unless they fail or differ. */
const AT_FIRST = 2;

/** What is known of the NAT. */
export interface NatView {
  /** `ip:port` */
  reflexive?: string;
  /** `[ip]:port` */
  reflexive6?: string;
  /** Undefined: could not be told. */
  symmetric?: boolean;
}

/** What {@link NatWatch} needs. */
export interface NatWatchOptions {
  /** WireGuard's UDP port; it may become another one. */
  port: () => number;
  servers: readonly string[];
  /** Name of the tunnel's interface. */
  tunnel: string;
  /** What was measured before WireGuard had the port. */
  initial: NatView;
  initialServers?: ServerReport[];
  /** ms between rounds. */
  period?: number;
  /** Firewall mark of WireGuard's packets: the questions have to leave by the same way. */
  mark?: number;
  /** Tells whether an address lies inside the VPC. */
  inTunnel?: (address: string) => boolean;
  /** Something is other than it was. */
  onChange(view: NatView): void;
  /** The host's network changed; a round follows. */
  onMoved?(reason: string): void;
  /** ms since the epoch, for what is told */
  now?: () => number;
  /** ms, of a clock that only goes forward, for what is decided */
  steady?: () => number;
  random?: () => number;
  openPort?: (port: number) => StunPort;
  watchNetwork?: typeof watchNetwork;
  resolver?: Resolver;
}

/** What status tells of it. */
export interface NatWatchStatus {
  method: "raw-socket" | "first-result";
  /** Why it is only the first result. */
  reason?: string;
  /** How changes of the network are noticed. */
  network?: NetworkWatch["by"];
  period: number;
  rounds: number;
  /** When the last round ended, and the last one that brought an address, ms since the epoch. */
  lastRound?: number;
  lastGood?: number;
  views: Readonly<Record<Family, View>>;
  servers: ServerReport[];
  /** Why the last round was of no use. */
  error?: string;
}

/** See the top of the file. {@link run} may be called once. */
export class NatWatch {
  readonly #options: NatWatchOptions;
  readonly #now: () => number;
  readonly #steady: () => number;
  readonly #resolver: Resolver;
  readonly #views: Record<Family, View>;
  #port: StunPort | undefined;
  #servers: ServerReport[];
  #method: Pick<NatWatchStatus, "method" | "reason"> = { method: "first-result" };
  #network: NetworkWatch | undefined;
  #rounds = 0;
  #lastRound: number | undefined;
  #lastGood: number | undefined;
  #error: string | undefined;
  #movedAt: number | undefined;
  #confirms = 0;
  /** Failed rounds since the network changed; undefined when all is well. */
  #retries: number | undefined;
  /** A round is wanted before its time. */
  #wanted = false;
  #wake: () => void = () => {};

  constructor(options: NatWatchOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#steady = options.steady ?? (() => performance.now());
    this.#resolver = options.resolver ?? new Resolver();
    this.#servers = options.initialServers ?? [];
    const { reflexive, reflexive6, symmetric } = options.initial;
    const kind = symmetric === undefined ? {} : { symmetric };
    const goodAt = this.#steady();
    this.#views = {
      4: reflexive === undefined ? {} : { address: reflexive, ...kind, goodAt },
      6: reflexive6 === undefined
        ? {}
        : { address: reflexive6, ...(reflexive === undefined ? kind : {}), goodAt },
    };
    // Remembered from the last run, without an address: the best that is known.
    if (reflexive === undefined && reflexive6 === undefined) Object.assign(this.#views[4], kind);
    if (reflexive !== undefined || reflexive6 !== undefined) this.#lastGood = this.#now();
  }

  /** What is known now. */
  get view(): NatView {
    const { 4: four, 6: six } = this.#views;
    const { symmetric } = four.address === undefined && six.address !== undefined ? six : four;
    return {
      ...(four.address === undefined ? {} : { reflexive: four.address }),
      ...(six.address === undefined ? {} : { reflexive6: six.address }),
      ...(symmetric === undefined ? {} : { symmetric }),
    };
  }

  /** What it is doing and what came of it. */
  status(): NatWatchStatus {
    return {
      ...this.#method,
      ...(this.#network === undefined ? {} : { network: this.#network.by }),
      period: this.#options.period ?? PERIOD,
      rounds: this.#rounds,
      ...(this.#lastRound === undefined ? {} : { lastRound: this.#lastRound }),
      ...(this.#lastGood === undefined ? {} : { lastGood: this.#lastGood }),
      views: this.#views,
      servers: this.#servers,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  /** Wants a round at once: something happened that may have to do with the NAT. */
  poke(): void {
    this.#wanted = true;
    this.#wake();
  }

  /** Measures until the signal aborts; then nothing of it is left. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const watch = this.#options.watchNetwork ?? watchNetwork;
    const network = watch({
      tunnel: this.#options.tunnel,
      onChange: (reason) => this.#moved(reason),
    });
    this.#network = network;
    try {
      while (!signal.aborted) {
        const began = performance.now();
        this.#wanted = false;
        const again = await this.#round(signal);
        if (signal.aborted) break;
        const least = again ? CONFIRM_PAUSE : LEAST_GAP - (performance.now() - began);
        await this.#wait(again ? CONFIRM_PAUSE : this.#pause(), Math.max(0, least), signal);
      }
    } finally {
      network.close();
      await this.#port?.close();
      this.#port = undefined;
    }
  }

  #moved(reason: string): void {
    log.debug("measuring again: {reason}", { reason });
    this.#movedAt = this.#steady();
    this.#retries = 0;
    this.#resolver.forget();
    this.#options.onMoved?.(reason);
    this.poke();
  }

  /** Time to the next round, ms. */
  #pause(): number {
    const { period = PERIOD, random = Math.random } = this.#options;
    const usual = period * (1 - JITTER + 2 * JITTER * random());
    const early = this.#retries === undefined ? undefined : RETRIES[this.#retries];
    return early === undefined ? usual : Math.min(usual, early);
  }

  /** Waits for `ms`, or until a round is wanted, but at least for `least` ms. */
  async #wait(ms: number, least: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const began = performance.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const until = (delay: number) => {
      clearTimeout(timer);
      timer = setTimeout(resolve, Math.max(0, delay - (performance.now() - began)));
    };
    this.#wake = () => until(least);
    signal.addEventListener("abort", () => resolve(), { once: true });
    until(this.#wanted ? least : Math.max(ms, least));
    await promise;
    this.#wake = () => {};
    clearTimeout(timer);
  }

  /** One round; true when another one has to confirm what it saw. */
  async #round(signal: AbortSignal): Promise<boolean> {
    const port = await this.#openPort();
    if (port === undefined) return false;
    let result: RoundResult;
    try {
      result = await askRound(port, {
        servers: this.#preferred(),
        resolver: this.#resolver,
        timeoutMs: ROUND_LIMIT,
        first: AT_FIRST,
        signal,
        ...(this.#options.inTunnel === undefined ? {} : { inTunnel: this.#options.inTunnel }),
      });
    } catch (error) {
      result = { verdicts: {}, servers: [], errors: [reasonOf(error)] };
    }
    // A round that was cut short says nothing, and so does one from a port that is left.
    if (signal.aborted || this.#options.port() !== port.port) return false;
    this.#rounds++;
    this.#lastRound = this.#now();
    this.#servers = result.servers;
    return this.#takeIn(result);
  }

  #takeIn(result: RoundResult): boolean {
    const before = JSON.stringify(this.view);
    const good = ([4, 6] as const).some((f) => result.verdicts[f]?.address !== undefined);
    let confirm = false;
    for (const family of [4, 6] as const) {
      const verdict = result.verdicts[family] ?? {};
      // No IPv6 anywhere is no failure of it.
      if (this.#views[family].address === undefined && verdict.address === undefined && good) {
        this.#views[family] = {};
        continue;
      }
      const reason = result.servers.find((one) => one.family === family && one.error)?.error ??
        result.errors[0];
      const folded = fold(this.#views[family], verdict, {
        now: this.#steady(),
        wall: this.#now(),
        movedAt: this.#movedAt,
        reason,
      });
      this.#views[family] = folded.view;
      confirm ||= folded.confirm;
    }
    if (good) {
      this.#lastGood = this.#now();
      this.#error = undefined;
      this.#retries = undefined;
    } else {
      const error = result.errors.slice(0, 3).join("; ") || "no STUN server answered";
      if (this.#error === undefined) log.warn("STUN fails: {error}", { error });
      this.#error = error;
      if (this.#retries !== undefined) this.#retries++;
    }
    if (JSON.stringify(this.view) !== before) {
      const { reflexive, reflexive6, symmetric } = this.view;
      log.info("seen as {reflexive} {reflexive6}, NAT {kind}", {
        reflexive: reflexive ?? "-",
        reflexive6: reflexive6 ?? "-",
        kind: symmetric === undefined ? "unknown" : symmetric ? "symmetric" : "cone",
      });
      this.#options.onChange(this.view);
    }
    this.#confirms = confirm ? this.#confirms + 1 : 0;
    return confirm && this.#confirms <= CONFIRMS;
  }

  /** The servers, those first that answered last time. */
  #preferred(): readonly string[] {
    const useful = new Set(
      this.#servers.filter(({ seen, error }) => seen && !error).map(({ server }) => server),
    );
    const { servers } = this.#options;
    return [
      ...servers.filter((name) => useful.has(name)),
      ...servers.filter((name) => !useful.has(name)),
    ];
  }

  async #openPort(): Promise<StunPort | undefined> {
    const wanted = this.#options.port();
    if (this.#port !== undefined && this.#port.port === wanted) return this.#port;
    await this.#port?.close();
    this.#port = undefined;
    const { mark } = this.#options;
    const open = this.#options.openPort ??
      ((port) => openRawPort({ port, ...(mark === undefined ? {} : { mark }) }));
    try {
      this.#port = open(wanted);
      this.#method = { method: "raw-socket" };
      return this.#port;
    } catch (error) {
      const reason = reasonOf(error, 160);
      if (!(error instanceof RawRefusal) || this.#method.reason !== reason) {
        log.warn("the NAT is not measured again while WireGuard runs: {reason}", { reason });
      }
      this.#method = { method: "first-result", reason };
      return undefined;
    }
  }
}
