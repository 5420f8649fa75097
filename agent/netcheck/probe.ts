/**
 * STUN from WireGuard's port (RFC 8489, Binding), before WireGuard has it: the NAT then maps that
 * port, and WireGuard inherits the mapping.
 *
 * @module
 */

import { lookup } from "node:dns/promises";
import ipaddr from "ipaddr.js";
import { parseHostPort } from "../../relay/net/mod.ts";
import {
  encodeBindingRequest,
  newTransactionId,
  parseBindingResponse,
} from "../../relay/stun/mod.ts";
import { AgentError, cleanText, reasonOf } from "../errors.ts";
import { isHost } from "./local.ts";

const STUN_PORT = 3478;
/** Milliseconds from the first try to each: a lost packet costs little, three rarely get lost. */
const TRIES = [0, 100, 300];
/** Two mappings tell the kind of NAT: more answers add nothing. */
const ENOUGH = 2;
const MAX_SERVERS = 16;

/** How to probe. */
export interface ProbeOptions {
  /** WireGuard's UDP port; 0 picks a free one. */
  port: number;
  /** `host` or `host:port` (3478). Two or more tell whether the NAT is symmetric. */
  servers: string[];
  /** Milliseconds for everything, name resolution too. */
  timeoutMs: number;
  /** IPv4 address to send from (default: all). */
  localAddress?: string;
}

/** One server's answer. */
interface ProbeAnswer {
  /** As it was given. */
  server: string;
  /** `ip:port` that it saw. */
  address: string;
  rttMs: number;
}

/** What came out. */
export interface ProbeResult {
  /** The port that was used. */
  port: number;
  /** `ip:port` of the first server, in the order given, that answered; absent when none did. */
  reflexive?: string;
  /** Two servers saw different addresses; undefined when fewer than two answered. */
  symmetric: boolean | undefined;
  answers: ProbeAnswer[];
  /** One sentence for each server that is of no use, and why. */
  errors: string[];
}

/**
 * Asks the servers all at once and returns as soon as two have answered, all have failed or the time
 * is over. A server's failure is told in `errors`; only a port that cannot be had throws
 * (`AgentError`). An answer counts only when it comes from the server asked, to a request made.
 */
export async function probe(options: ProbeOptions): Promise<ProbeResult> {
  const run = new Probe(options);
  try {
    await run.finished;
  } finally {
    await run.stop();
  }
  return run.result();
}

interface Server {
  name: string;
  /** `ip:port` once resolved. */
  target?: string;
  tries: { txid: string; at: number }[];
  answer?: ProbeAnswer;
  error?: string;
}

class Probe {
  readonly finished: Promise<void>;
  readonly #finish: () => void;
  readonly #socket: Deno.DatagramConn;
  readonly #servers: Server[];
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #errors: string[] = [];
  readonly #receiving: Promise<void>;
  readonly #sending: Promise<void>[] = [];
  #stopped = false;

  constructor({ port, servers, timeoutMs, localAddress = "0.0.0.0" }: ProbeOptions) {
    this.#socket = bind(port, localAddress);
    ({ promise: this.finished, resolve: this.#finish } = Promise.withResolvers<void>());
    const names = [...new Set(servers)];
    if (names.length > MAX_SERVERS) this.#errors.push(`Only ${MAX_SERVERS} STUN servers are asked`);
    this.#servers = names.slice(0, MAX_SERVERS).map((name) => ({ name, tries: [] }));
    this.#after(timeoutMs, this.#finish);
    this.#receiving = this.#receive();
    for (const server of this.#servers) this.#ask(server);
    this.#settle();
  }

  /** Closes the socket; the kernel has the port back only when the pending receive has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#socket.close();
    await Promise.all([this.#receiving, ...this.#sending]);
  }

  result(): ProbeResult {
    const answers = this.#servers.flatMap(({ answer }) => answer ?? []);
    const addresses = new Set(answers.map(({ address }) => address));
    const enough = answers.length >= ENOUGH;
    const errors = this.#servers.flatMap((server) => {
      if (server.answer) return [];
      // With two answers the others were not waited for: that is no failure of theirs.
      if (server.error === undefined && enough) return [];
      const reason = server.error ?? (server.target ? "no answer" : "its name took too long");
      return `STUN server ${cleanText(server.name, 100)}: ${reason}`;
    });
    return {
      port: (this.#socket.addr as Deno.NetAddr).port,
      ...(answers[0] && { reflexive: answers[0].address }),
      symmetric: enough ? addresses.size > 1 : undefined,
      answers,
      errors: [...this.#errors, ...errors],
    };
  }

  async #ask(server: Server): Promise<void> {
    try {
      const { hostname, port } = parseHostPort(server.name, STUN_PORT);
      if (hostname === "" || port === 0) throw new Error("not a host and port");
      const address = ipaddr.IPv4.isValidFourPartDecimal(hostname) || ipaddr.IPv6.isValid(hostname)
        ? hostname
        : (await lookup(hostname, { family: 4 })).address;
      if (this.#stopped) return;
      if (!ipaddr.IPv4.isValid(address)) throw new Error("IPv4 only, this is IPv6");
      const target = `${address}:${port}`;
      const twin = this.#servers.find((other) => other.target === target);
      if (twin) throw new Error(`the same address as ${twin.name}`);
      server.target = target;
      for (const delay of TRIES) {
        this.#after(delay, () => {
          this.#sending.push(this.#send(server, address, port));
        });
      }
    } catch (error) {
      this.#fail(server, reasonOf(error, 120));
    }
  }

  /** Each try has an id of its own, so that the round-trip time is that of the try answered. */
  async #send(server: Server, hostname: string, port: number): Promise<void> {
    if (server.answer || server.error !== undefined) return;
    const txid = newTransactionId();
    server.tries.push({ txid: txid.toHex(), at: performance.now() });
    try {
      await this.#socket.send(encodeBindingRequest(txid), { transport: "udp", hostname, port });
    } catch (error) {
      if (!this.#stopped) this.#fail(server, reasonOf(error, 120));
    }
  }

  async #receive(): Promise<void> {
    const buffer = new Uint8Array(1500);
    while (!this.#stopped) {
      try {
        const [datagram, from] = await this.#socket.receive(buffer);
        this.#take(datagram, from as Deno.NetAddr);
      } catch (error) {
        if (this.#stopped) return;
        this.#errors.push(`Cannot receive STUN answers: ${reasonOf(error, 120)}`);
        return this.#finish();
      }
    }
  }

  #take(datagram: Uint8Array, from: Deno.NetAddr): void {
    const source = `${from.hostname}:${from.port}`;
    const server = this.#servers.find(({ target }) => target === source);
    const answer = server && parseBindingResponse(datagram);
    if (!server || !answer || server.answer || server.error !== undefined) return;
    const txid = answer.txid.toHex();
    const asked = server.tries.find((one) => one.txid === txid);
    if (!asked) return;
    const { address, port } = answer;
    if (!ipaddr.IPv4.isValid(address) || !isHost(address) || port === 0) {
      return this.#fail(server, `it answers ${address} port ${port}, which is no host's address`);
    }
    server.answer = {
      server: server.name,
      address: `${address}:${port}`,
      rttMs: performance.now() - asked.at,
    };
    this.#settle();
  }

  #fail(server: Server, reason: string): void {
    server.error = reason;
    this.#settle();
  }

  #settle(): void {
    const answers = this.#servers.filter((server) => server.answer).length;
    const open = this.#servers.some(({ answer, error }) => !answer && error === undefined);
    if (answers >= ENOUGH || !open) this.#finish();
  }

  #after(delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delayMs);
    this.#timers.add(timer);
  }
}

function bind(port: number, hostname: string): Deno.DatagramConn {
  try {
    return Deno.listenDatagram({ transport: "udp", hostname, port });
  } catch (error) {
    const where = `UDP port ${port}`;
    if (error instanceof Deno.errors.AddrInUse) {
      throw new AgentError(
        `Cannot listen on ${where}: port in use; stop the other program or choose another ` +
          `--listen-port`,
        { cause: error },
      );
    }
    throw new AgentError(`Cannot listen on ${where} of ${hostname}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
