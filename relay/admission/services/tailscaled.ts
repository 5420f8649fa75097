/**
 * The tailscaled of this host as the judge: it knows the nodes of its network. It is asked over its
 * unix socket who owns the client's key.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { type Answer, Asking, type AskingLimits } from "./asking.ts";
import { Trouble } from "./trouble.ts";

const log = getLogger(["nexd", "relay"]);

/** The only name that tailscaled's local API answers to. */
const HOST = "local-tailscaled.sock";

/** Asks tailscaled. There is no failing open: no answer refuses. */
export class Tailscaled {
  readonly #socket: string;
  readonly #asking: Asking;
  readonly #client: Deno.HttpClient;
  readonly #trouble: Trouble;

  /** @param socket path of tailscaled's unix socket */
  constructor(socket: string, limits: Partial<AskingLimits> = {}) {
    this.#socket = socket;
    this.#asking = new Asking(limits);
    this.#trouble = new Trouble((reason) =>
      log.error("Cannot ask tailscaled at {socket} about logins: {reason}; they are refused", {
        socket,
        reason,
      })
    );
    this.#client = Deno.createHttpClient({
      proxy: { transport: "unix", path: socket },
      // A kept connection outlives a restart of tailscaled and then costs somebody the login.
      poolMaxIdlePerHost: 0,
    });
  }

  /** For people. */
  describe(): string {
    return `tailscaled at ${this.#socket}`;
  }

  /** Whether tailscaled knows the key. */
  async admit(hex: string): Promise<boolean> {
    return await this.#asking.ask(hex, (signal) => this.#ask(hex, signal)) === "yes";
  }

  async close(): Promise<void> {
    await this.#asking.close();
    this.#client.close();
  }

  async #ask(hex: string, signal: AbortSignal): Promise<Answer> {
    try {
      const url = `http://${HOST}/localapi/v0/whois?addr=nodekey%3A${hex}`;
      const response = await fetch(url, { signal, client: this.#client, redirect: "manual" });
      await response.body?.cancel();
      // 404 is its plain no; anything else but 200 says that it could not tell.
      if (response.status !== 200 && response.status !== 404) {
        this.#trouble.note(`it answered ${response.status}`);
      } else this.#trouble.over();
      return response.status === 200 ? "yes" : "no";
    } catch (error) {
      this.#trouble.note(signal.aborted ? signal.reason : error);
      return "failed";
    }
  }
}
