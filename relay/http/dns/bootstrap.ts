/**
 * Addresses of well-known names for clients whose own DNS is blocked or broken (DERP:
 * `/bootstrap-dns`).
 */
import { getLogger } from "@logtape/logtape";
import { RelayError } from "../../errors.ts";
import { BROWSER_HEADERS, sized } from "../pages/answers.ts";
import { insidePercentage } from "./percent.ts";
import { type Entry, type Found, type Resolve, resolveEntries, systemResolve } from "./resolve.ts";

const logger = getLogger(["nexd", "relay"]);

const REFRESH_MS = 600_000;
const ROUND_MS = 60_000;
/** Names in one list: more would not be a list of servers to begin with. */
const MAX_NAMES = 1000;
/** Distinct queried names remembered for counting; beyond this the count begins again. */
const MAX_QUERIED = 500;
const MAX_NAME = 253;

/** What is counted. The names are fields of a relay's snapshot (`counters`), where they add up. */
export interface BootstrapDnsCounters {
  bootstrapDnsRequests: number;
  bootstrapDnsPublishedHits: number;
  bootstrapDnsPublishedMisses: number;
  bootstrapDnsUnpublishedHits: number;
  bootstrapDnsUnpublishedMisses: number;
  bootstrapDnsUnpublishedPercentMisses: number;
  /** Distinct names asked for; not a counter, it may fall. */
  bootstrapDnsQueriedDomains: number;
}

export interface BootstrapDnsOptions {
  /** Names that every request is told. */
  published: string[];
  /** Names told only to those who ask for them, as `name` or `name/txtname`. */
  unpublished: string[];
  /** Default: the system's resolver. */
  resolve?: Resolve | undefined;
  /** Milliseconds between rounds, and the limit of one. */
  refreshMs?: number | undefined;
  roundMs?: number | undefined;
}

/** The two lists and what they resolve to. */
export class BootstrapDns {
  readonly counters: BootstrapDnsCounters = {
    bootstrapDnsRequests: 0,
    bootstrapDnsPublishedHits: 0,
    bootstrapDnsPublishedMisses: 0,
    bootstrapDnsUnpublishedHits: 0,
    bootstrapDnsUnpublishedMisses: 0,
    bootstrapDnsUnpublishedPercentMisses: 0,
    bootstrapDnsQueriedDomains: 0,
  };
  /** Resolves after the first round, however it ended. */
  readonly ready: Promise<void>;
  readonly #publishedNames: Entry[];
  readonly #unpublishedNames: Entry[];
  readonly #resolve: Resolve;
  readonly #refreshMs: number;
  readonly #roundMs: number;
  readonly #closing = new AbortController();
  readonly #queried = new Set<string>();
  #published = new Map<string, Found>();
  #unpublished = new Map<string, Found>();
  #publishedJson = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(options: BootstrapDnsOptions) {
    this.#publishedNames = entries(options.published, "bootstrap-dns-names", false);
    this.#unpublishedNames = entries(options.unpublished, "unpublished-bootstrap-dns-names", true);
    this.#resolve = options.resolve ?? systemResolve;
    this.#refreshMs = options.refreshMs ?? REFRESH_MS;
    this.#roundMs = options.roundMs ?? ROUND_MS;
    const nothing = this.#publishedNames.length + this.#unpublishedNames.length === 0;
    this.ready = nothing ? Promise.resolve() : this.#refresh();
  }

  /**
   * Begins to look the names up, at once and then every ten minutes.
   *
   * @throws RelayError (exit code 2) for an entry that is no name
   */
  static start(options: BootstrapDnsOptions): BootstrapDns {
    return new BootstrapDns(options);
  }

  /**
   * Answers a request.
   *
   * @param query the name in `?q=`, if any
   * @param remoteAddress the client's IP address
   */
  answer(query: string | undefined, remoteAddress: string): Response {
    this.counters.bootstrapDnsRequests += 1;
    const body = this.#asked(query, remoteAddress) ?? this.#publishedJson;
    return sized(body, {
      ...BROWSER_HEADERS,
      "content-type": "application/json",
      // Asked once from far away: a kept connection would be a waste.
      "connection": "close",
    });
  }

  close(): void {
    this.#closing.abort();
    clearTimeout(this.#timer);
  }

  /** The answer to a query for an unpublished name, when this client may have it. */
  #asked(name: string | undefined, remoteAddress: string): string | undefined {
    if (name === undefined || name === "" || name.length > MAX_NAME) return undefined;
    this.#count(name);
    const { counters } = this;
    const unpublished = this.#unpublished.get(name);
    if (unpublished !== undefined && unpublished.addresses.length > 0) {
      counters.bootstrapDnsUnpublishedHits += 1;
      if (insidePercentage(remoteAddress, unpublished.part)) {
        return json([[name, unpublished.addresses]]);
      }
      counters.bootstrapDnsUnpublishedPercentMisses += 1;
    }
    const published = this.#published.get(name);
    if (published === undefined) counters.bootstrapDnsUnpublishedMisses += 1;
    else if (published.addresses.length > 0) counters.bootstrapDnsPublishedHits += 1;
    else counters.bootstrapDnsPublishedMisses += 1;
    return undefined;
  }

  #count(name: string): void {
    this.#queried.add(name);
    if (this.#queried.size > MAX_QUERIED) this.#queried.clear();
    this.counters.bootstrapDnsQueriedDomains = this.#queried.size;
  }

  async #refresh(): Promise<void> {
    // A controller of its own instead of AbortSignal.timeout, whose timer would outlive the round.
    const round = new AbortController();
    const end = () => round.abort();
    const limit = setTimeout(end, this.#roundMs);
    this.#closing.signal.addEventListener("abort", end, { once: true });
    try {
      const [published, unpublished] = await Promise.all([
        resolveEntries(this.#publishedNames, this.#resolve, round.signal),
        resolveEntries(this.#unpublishedNames, this.#resolve, round.signal),
      ]);
      this.#published = this.#merge("published", this.#publishedNames, this.#published, published);
      this.#unpublished = this.#merge(
        "unpublished",
        this.#unpublishedNames,
        this.#unpublished,
        unpublished,
      );
      for (const { addresses } of this.#published.values()) shuffle(addresses);
      this.#publishedJson = this.#publishedNames.length === 0
        ? ""
        : json([...this.#published].map(([name, { addresses }]) => [name, addresses]));
    } finally {
      clearTimeout(limit);
      this.#closing.signal.removeEventListener("abort", end);
    }
    if (this.#closing.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#refresh(), this.#refreshMs);
  }

  /** What was found, and the earlier answer for a name that nobody answers for now. */
  #merge(
    list: string,
    names: readonly Entry[],
    before: ReadonlyMap<string, Found>,
    found: ReadonlyMap<string, Found>,
  ): Map<string, Found> {
    const merged = new Map<string, Found>();
    const silent: string[] = [];
    for (const { name } of names) {
      const one = found.get(name) ?? before.get(name);
      if (!found.has(name)) silent.push(name);
      if (one !== undefined) merged.set(name, one);
    }
    if (silent.length > 0 && !this.#closing.signal.aborted) {
      logger.warn("Cannot resolve {count} {list} bootstrap names, among them {name}", {
        count: silent.length,
        list,
        name: silent[0],
      });
    }
    return merged;
  }
}

function entries(texts: readonly string[], flag: string, percent: boolean): Entry[] {
  const wrong = (text: string, why: string) =>
    new RelayError(`Cannot use --${flag} ${text}: ${why}`, 2);
  if (texts.length > MAX_NAMES) {
    throw wrong(`with ${texts.length} names`, `give at most ${MAX_NAMES}`);
  }
  return texts.map((text) => {
    const [name = "", percentName, more] = text.split("/");
    const valid = isName(name) && more === undefined &&
      (percentName === undefined || (percent && isName(percentName)));
    if (!valid) throw wrong(text, percent ? "give NAME or NAME/TXTNAME" : "give a host name");
    return { name, percentName };
  });
}

function isName(text: string): boolean {
  return text.length <= MAX_NAME && /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$/.test(text);
}

/** Names sorted, indented by tabs, no line end at the end: as the reference prints it. */
function json(lists: [string, string[]][]): string {
  lists.sort(([a], [b]) => a < b ? -1 : 1);
  return JSON.stringify(Object.fromEntries(lists), null, "\t");
}

/** So that clients that take the first address spread over all (Fisher and Yates). */
function shuffle(list: string[]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
}
