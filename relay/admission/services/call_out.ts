/**
 * The HTTP call-out (DERP: admission): a service is asked about each login, in the reference relay's
 * words, so that services written for it work unchanged.
 *
 * @module
 */
import { getBuiltinModule } from "node:process";
import { getLogger } from "@logtape/logtape";
import { RelayError } from "../../errors.ts";
import { type Answer, Asking, type AskingLimits } from "./asking.ts";
import { Trouble } from "./trouble.ts";
import { readVerdict } from "./verdict.ts";

const log = getLogger(["nexd", "relay"]);

/** Requests of one question at most, as many as the reference relay's client makes. */
const MAX_REQUESTS = 10;

/** Asks a URL. */
export class CallOut {
  readonly #url: URL;
  readonly #authorization: string | undefined;
  readonly #failOpen: boolean;
  readonly #asking: Asking;
  readonly #client: Deno.HttpClient;
  readonly #trouble: Trouble;
  readonly #opened: () => void;

  /**
   * @param failOpen let in whoever could not be asked about
   * @param opened called for each login let in that way
   * @throws RelayError when the URL is none
   */
  constructor(
    url: string,
    options: { failOpen: boolean; opened: () => void; limits?: Partial<AskingLimits> },
  ) {
    const { origin, target, authorization } = readUrl(url);
    this.#url = target;
    this.#authorization = authorization;
    this.#failOpen = options.failOpen;
    this.#opened = options.opened;
    this.#asking = new Asking(options.limits);
    this.#trouble = new Trouble((reason) =>
      log.error("Cannot ask {origin} about logins: {reason}; they are {outcome}", {
        origin,
        reason,
        outcome: options.failOpen ? "let in unasked" : "refused",
      })
    );
    this.#client = Deno.createHttpClient({
      caCerts: target.protocol === "https:" ? systemCas() : [],
      poolMaxIdlePerHost: 16,
    });
  }

  /** For people; without what may be secret in the URL. */
  describe(): string {
    return `call-out ${this.#url.origin}${this.#url.pathname} ` +
      `(fails ${this.#failOpen ? "open" : "closed"})`;
  }

  /** Whether the service, or its absence, lets the client in. */
  async admit(hex: string, address: string): Promise<boolean> {
    const answer = await this.#asking.ask(
      `${hex} ${address}`,
      (signal) => this.#ask(hex, address, signal),
    );
    if (answer !== "failed" || !this.#failOpen) return answer === "yes";
    this.#opened();
    return true;
  }

  async close(): Promise<void> {
    await this.#asking.close();
    this.#client.close();
  }

  async #ask(hex: string, address: string, signal: AbortSignal): Promise<Answer> {
    let response: Response;
    try {
      response = await this.#request(
        JSON.stringify({ NodePublic: `nodekey:${hex}`, Source: address }),
        signal,
      );
    } catch (error) {
      this.#trouble.note(signal.aborted ? signal.reason : error);
      return "failed";
    }
    this.#trouble.over();
    // From here on the service has answered: whatever is wrong with its answer refuses.
    if (response.status !== 200) {
      await response.body?.cancel().catch(() => {});
      return "no";
    }
    return await readVerdict(response.body, signal) ? "yes" : "no";
  }

  /** The request and its redirects: 307 and 308 ask again, the others fetch. */
  async #request(question: string, signal: AbortSignal): Promise<Response> {
    let url = this.#url, post = true;
    for (let requests = 1;; requests++) {
      const response = await this.#fetch(url, {
        method: post ? "POST" : "GET",
        // As bytes: a text would get a Content-Type, which the reference relay does not send.
        ...(post ? { body: new TextEncoder().encode(question) } : {}),
        headers: {
          "accept-encoding": "gzip",
          "user-agent": "nexd-relay",
          ...(this.#authorization !== undefined && url.origin === this.#url.origin
            ? { authorization: this.#authorization }
            : {}),
        },
        redirect: "manual",
        signal,
      });
      const to = response.headers.get("location");
      if (![301, 302, 303, 307, 308].includes(response.status) || to === null) return response;
      await response.body?.cancel();
      if (requests === MAX_REQUESTS) throw new Error(`more than ${MAX_REQUESTS - 1} redirects`);
      if (response.status < 307) post = false;
      url = new URL(to, url);
      if (url.protocol !== "https:" && url.protocol !== "http:") {
        throw new Error(`a redirect to ${url.protocol}`);
      }
    }
  }

  /** Once more where it fails at once: a kept connection may have been closed by the other side. */
  async #fetch(url: URL, request: RequestInit & { signal: AbortSignal }): Promise<Response> {
    const { signal } = request;
    try {
      return await fetch(url, { ...request, client: this.#client });
    } catch (error) {
      if (signal.aborted) throw error;
      return await fetch(url, { ...request, client: this.#client });
    }
  }
}

function readUrl(text: string): { origin: string; target: URL; authorization?: string } {
  const target = URL.parse(text);
  if (target === null || (target.protocol !== "https:" && target.protocol !== "http:")) {
    throw new RelayError(
      "Cannot use --verify-client-url: it is no http or https URL; write https://host/path",
      2,
    );
  }
  const { username, password } = target;
  target.username = target.password = "";
  if (username === "" && password === "") return { origin: target.origin, target };
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const authorization = `Basic ${new TextEncoder().encode(credentials).toBase64()}`;
  return { origin: target.origin, target, authorization };
}

/** None without the permission to read them: the runtime's own list is then what there is. */
function systemCas(): string[] {
  try {
    // Loaded when needed only: it costs start-up time.
    return [...getBuiltinModule("node:tls").getCACertificates("system")];
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return [];
    throw error;
  }
}
