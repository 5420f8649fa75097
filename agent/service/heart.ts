/**
 * What the service manager hears of a running agent: that it is ready, how it is, and that it lives.
 *
 * @module
 */

/** Sends to the service manager; does nothing where there is none. */
export interface Notifier {
  ready(status: string): void;
  status(text: string): void;
  stopping(status: string): void;
  /** "Still alive", for the watchdog. */
  alive(): void;
  /** Within which the watchdog wants to hear `alive`, ms; undefined when there is none. */
  readonly watchdogMs: number | undefined;
  close(): void;
}

/** What is told of an agent. */
interface Vitals {
  status: string;
  login?: { url: string };
  control: { state: string };
  peers: readonly { healthy: boolean; method: string }[];
}

/** How often the text for people is brought up to date, ms. */
const LOOK = 10_000;

/** See the top of the file. */
export class Heart {
  readonly #notifier: Notifier;
  readonly #look: () => Vitals;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #ready = false;
  #stopped = false;
  #text = "";

  /**
   * @param beats whether the agent's loop goes round; an agent that hangs is started again
   */
  constructor(notifier: Notifier, look: () => Vitals, beats: () => boolean) {
    this.#notifier = notifier;
    this.#look = look;
    this.#timers.push(setInterval(() => this.tell(), LOOK));
    const { watchdogMs } = notifier;
    if (watchdogMs === undefined) return;
    this.#timers.push(setInterval(() => {
      if (beats()) notifier.alive();
    }, watchdogMs / 2));
  }

  /** Tells how it is now. Ready is who runs, and who waits for a person: the start is over then. */
  tell(): void {
    const vitals = this.#look();
    const text = vitalsText(vitals);
    if (!this.#ready && vitals.status !== "Starting") {
      this.#ready = true;
      this.#notifier.ready(text);
    } else if (text !== this.#text) {
      this.#notifier.status(text);
    }
    this.#text = text;
  }

  /** The agent ends now. May be called again. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#notifier.stopping("puts back what it changed on this host");
  }
}

/** One line for `systemctl status`. */
export function vitalsText({ status, login, control, peers }: Vitals): string {
  if (login !== undefined) return `waits for somebody to sign in at ${login.url}`;
  const reached = peers.filter(({ healthy }) => healthy);
  const relayed = reached.filter(({ method }) => method.startsWith("via-")).length;
  return `${status}: ${reached.length} of ${peers.length} peers reached` +
    `${relayed === 0 ? "" : `, ${relayed} through relays`}; control plane ${control.state}`;
}
