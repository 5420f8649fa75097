/** The plain HTTP companion on port 80: captive portal check, ACME challenges, redirects to HTTPS. */
import { getLogger } from "@logtape/logtape";
import { type AppState, companionApp, PlainHttp } from "./http/mod.ts";
import { type ListenAddress, onEveryAddress, PortInUse } from "./worker/mod.ts";

const logger = getLogger(["nexd", "relay"]);

const FLAG = "--http-port (-1 for none)";
/** How often the port is tried again while the relay's predecessor still has it. */
const RETRY_MS = 250;
/** Longest wait for requests under way at the end. */
const CLOSE_MS = 500;

export class Companion {
  #server: PlainHttp | undefined;
  #port: number | undefined;
  #retry: ReturnType<typeof setInterval> | undefined;

  /**
   * @param takeOver a port in use belongs to a predecessor that will leave it: try until it has
   * @throws RelayError when the port cannot be used
   */
  constructor(readonly addr: ListenAddress, state: AppState, takeOver: boolean) {
    const app = companionApp(state);
    const open = () => {
      const listener = onEveryAddress(
        addr,
        FLAG,
        (hostname) => Deno.listen({ hostname, port: addr.port }),
      );
      this.#port = (listener.addr as Deno.NetAddr).port;
      this.#server = new PlainHttp(listener, app);
    };
    try {
      open();
    } catch (error) {
      if (!takeOver || !(error instanceof PortInUse)) throw error;
      logger.info("Port {port} is still the predecessor's; taken over when it is free", {
        port: addr.port,
      });
      this.#retry = setInterval(() => {
        try {
          open();
          clearInterval(this.#retry);
        } catch (error) {
          if (error instanceof PortInUse) return;
          clearInterval(this.#retry);
          logger.error("Plain HTTP stays off: {reason}", { reason: (error as Error).message });
        }
      }, RETRY_MS);
    }
  }

  /** The real port; the one asked for while it is not had. */
  get port(): number {
    return this.#port ?? this.addr.port;
  }

  async close(): Promise<void> {
    clearInterval(this.#retry);
    // Requests under way may finish, but not keep the relay or the port.
    await this.#server?.close(CLOSE_MS);
  }
}
