/**
 * STUN from WireGuard's port before WireGuard has it: the NAT then maps that port, and WireGuard
 * inherits the mapping.
 *
 * @module
 */
import { openPlainPort } from "./ports/mod.ts";
import { Resolver } from "./resolve.ts";
import { askRound, type ServerReport } from "./round.ts";

/** How to probe. */
export interface ProbeOptions {
  /** WireGuard's UDP port; 0 picks a free one. */
  port: number;
  /** `host` or `host:port` (3478). Two or more tell whether the NAT is symmetric. */
  servers: string[];
  /** Milliseconds for everything, name resolution too. */
  timeoutMs: number;
  /** Waits for every server, to tell how fast each one is. */
  every?: boolean;
  /** IPv4 address to send from (default: all, and IPv6). */
  localAddress?: string;
}

/** What came out. */
export interface ProbeResult {
  /**
   * Whether UDP gets out and back: `open` when a server answered, `blocked` when several were asked
   * in vain, `unknown` when that tells nothing: none could be asked, or a single one.
   */
  udp: "open" | "blocked" | "unknown";
  /** The port that was used. */
  port: number;
  /**
   * `ip:port` of the first server, in the order given, that answered over IPv4; absent when none did.
   */
  reflexive?: string;
  /** `[ip]:port`, the same over IPv6. */
  reflexive6?: string;
  /**
   * Two servers saw different addresses; undefined when fewer than two answered. Of IPv4 where it
   * was answered at all.
   */
  symmetric: boolean | undefined;
  /** Every server that was asked, by IP version. */
  servers: ServerReport[];
  /** One sentence for each server that is of no use, and why. */
  errors: string[];
}

/**
 * Asks the servers all at once and returns as soon as two have answered, all have failed or the time
 * is over. A server's failure is told in `errors`; only a port that cannot be had throws
 * (`AgentError`).
 */
export async function probe(options: ProbeOptions): Promise<ProbeResult> {
  const port = openPlainPort(options.port, options.localAddress);
  try {
    const { servers, timeoutMs, every = false } = options;
    const round = await askRound(port, { servers, timeoutMs, every, resolver: new Resolver() });
    const { 4: four = {}, 6: six = {} } = round.verdicts;
    const asked = round.servers.filter(({ error }) => error !== "no way there").length;
    const answered = round.servers.some(({ seen }) => seen !== undefined);
    return {
      udp: answered ? "open" : asked > 1 ? "blocked" : "unknown",
      port: port.port,
      ...(four.address === undefined ? {} : { reflexive: four.address }),
      ...(six.address === undefined ? {} : { reflexive6: six.address }),
      symmetric: (four.address === undefined ? six : four).symmetric,
      servers: round.servers,
      errors: round.errors,
    };
  } finally {
    await port.close();
  }
}
