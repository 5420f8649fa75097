/**
 * How requests reach the CA: by `fetch`, with its CA trusted, each one bounded in time and size.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { reasonOf } from "../files.ts";
import { AcmeProblem, parseRetryAfter, printable, UnreachableError } from "./problem.ts";

const REQUEST_MS = 30_000;
/** Certificate chains and directories are a few KB. */
const MAX_BODY = 1 << 20;
const USER_AGENT = "nexd-relay acme-client";

/** What the CA answered. */
export interface Answer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: string;
}

/** The transport of the attempt that the running code belongs to. */
const running = new AsyncLocalStorage<Transport>();

/** The way to one CA during one attempt. */
export class Transport implements Disposable {
  /** What the last answer asked us to wait before looking again, ms. */
  retryAfterMs: number | undefined;
  readonly #client: Deno.HttpClient;
  readonly #signal: AbortSignal;
  readonly #now: () => number;

  /**
   * @param ca PEM of a CA to trust beside the public ones
   * @param signal ends every request
   */
  constructor(ca: string | undefined, signal: AbortSignal, now: () => number) {
    this.#client = Deno.createHttpClient({ ...(ca === undefined ? {} : { caCerts: [ca] }) });
    this.#signal = signal;
    this.#now = now;
  }

  /** The transport to use in code that {@linkcode run} has started. */
  static get current(): Transport {
    const transport = running.getStore();
    if (transport === undefined) throw new Error("Cannot ask a CA: no attempt is under way");
    return transport;
  }

  /** Runs work whose requests go this way. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return running.run(this, work);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  /**
   * Sends one request. A refused nonce is an answer like others, for its sender to repeat.
   *
   * @throws {AcmeProblem} for an error status
   * @throws {UnreachableError} when there is no answer
   */
  async request(method: string, url: string, body: string | undefined): Promise<Answer> {
    const answer = await this.#send(method, url, body);
    this.retryAfterMs = parseRetryAfter(answer.headers["retry-after"], this.#now());
    if (answer.status < 400) return answer;
    const problem = AcmeProblem.of(answer, this.#now());
    if (problem.type === "badNonce") return answer;
    throw problem;
  }

  async #send(method: string, url: string, body: string | undefined): Promise<Answer> {
    const { host, protocol } = new URL(url);
    if (protocol !== "https:") {
      throw new UnreachableError(`${printable(url)} is no https URL`);
    }
    const timeout = AbortSignal.timeout(REQUEST_MS);
    try {
      const response = await fetch(url, {
        client: this.#client,
        method: method.toUpperCase(),
        headers: {
          "user-agent": USER_AGENT,
          ...(body === undefined ? {} : { "content-type": "application/jose+json" }),
        },
        redirect: body === undefined ? "follow" : "error",
        signal: AbortSignal.any([this.#signal, timeout]),
        ...(body === undefined ? {} : { body }),
      });
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: await readBounded(response),
      };
    } catch (error) {
      this.#signal.throwIfAborted();
      if (timeout.aborted) throw new UnreachableError(`${host} did not answer in 30 seconds`);
      throw new UnreachableError(`${host}: ${networkReason(error)}`);
    }
  }
}

async function readBounded(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_BODY) throw new Error("an answer too long");
  }
  return text + decoder.decode();
}

/** Why a connection failed, in a few words. */
function networkReason(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) return reasonOf(error);
  const parts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) parts.push(at.message);
  const text = parts.join(": ");
  if (/connection refused/i.test(text)) return "connection refused";
  if (/dns error|lookup|resolve/i.test(text)) return "its name has no address here";
  if (/certificate|UnknownIssuer/i.test(text)) {
    return `its own certificate is not trusted (${
      /invalid peer certificate: (\w+)/.exec(text)?.[1] ?? "TLS"
    })`;
  }
  return printable(text.replace(/^error sending request for url \([^)]*\): /, ""));
}
