/**
 * Echoes, by whatever way this process has.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { reasonOf } from "../errors.ts";
import type { Family } from "./packet.ts";
import { echoByProgram } from "./program.ts";
import { IcmpSocket } from "./socket.ts";

/** Programs that run at the same time. */
const MAX_PROGRAMS = 16;

/** How one echo ended. */
export type PingOutcome = { ok: true; rttMs: number } | { ok: false; error: string };

/** How to open one. */
export interface PingerOptions {
  /** The tunnel's interface: echoes leave through it, whatever the routes say. */
  device?: string;
  /** Use the system's `ping` only. */
  programOnly?: boolean;
}

/** Sends echoes. */
export interface Pinger {
  /** Never rejects: what went wrong is in the outcome, in a few words. */
  ping(
    address: string,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<PingOutcome>;
  close(): Promise<void>;
}

/** A pinger of this process. */
export function openPinger({ device, programOnly = false }: PingerOptions = {}): Pinger {
  const sockets = new Map<Family, IcmpSocket | undefined>();
  let programs = 0;
  const queue: (() => void)[] = [];
  const byProgram = async (...args: Parameters<typeof echoByProgram>) => {
    while (programs >= MAX_PROGRAMS) await new Promise<void>((resolve) => queue.push(resolve));
    programs++;
    try {
      return await echoByProgram(...args);
    } finally {
      programs--;
      queue.shift()?.();
    }
  };
  return {
    async ping(address, { timeoutMs, signal }) {
      if (!ipaddr.isValid(address)) return { ok: false, error: "it has no such address" };
      const family = ipaddr.parse(address).kind() === "ipv4" ? 4 : 6;
      if (!programOnly && !sockets.has(family)) {
        sockets.set(family, IcmpSocket.open(family, device));
      }
      const socket = sockets.get(family);
      try {
        const rttMs = socket === undefined
          ? await byProgram(family, address, timeoutMs, signal)
          : await socket.echo(address, timeoutMs, signal);
        if (rttMs !== undefined) return { ok: true, rttMs };
        return {
          ok: false,
          error: signal?.aborted ? "interrupted" : `no answer in ${timeoutMs / 1000} s`,
        };
      } catch (error) {
        return { ok: false, error: reasonOf(error, 80) };
      }
    },
    async close() {
      for (const socket of sockets.values()) await socket?.close();
    },
  };
}
