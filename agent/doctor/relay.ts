/**
 * A relay from outside, without logging in: does it answer over HTTPS and over STUN, how fast, and is
 * there somebody in between.
 *
 * @module
 */
import ipaddr from "ipaddr.js";
import { reasonOf } from "../errors.ts";
import { probe } from "../netcheck/mod.ts";
import { get, isAboutCertificate, limited, openTls, statusOf } from "./http.ts";

/** Where relays answer STUN, and the plain HTTP of captive portal checks. */
const STUN_PORT = 3478, HTTP_PORT = 80;
/** How long a STUN server has, ms. */
const LIMIT = 1_500;
/** How often is asked. */
const ROUNDS = 3;

/** A relay to look at. */
export interface RelayAddress {
  host: string;
  port: number;
}

/** What a look at it showed. */
export interface RelayReport extends RelayAddress {
  /** Round-trip time of a request over an open TLS connection, ms. */
  https_ms?: number;
  /** Why there is none. */
  error?: string;
  /** It answers, but its certificate is not trusted by what we know. */
  untrusted?: true;
  /** Round-trip time of a STUN request, ms. */
  stun_ms?: number;
}

/** Whether somebody answers in the place of others. */
export interface CaptivePortal {
  found: "yes" | "no" | "unknown";
  /** Why it is believed. */
  reason: string;
}

/** A time in ms to the microsecond: what is beyond is the clock's arithmetic. */
export function microseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** Asks a relay over HTTPS and STUN. Never rejects. */
export async function lookAtRelay(
  relay: RelayAddress,
  caCerts: readonly string[],
): Promise<RelayReport> {
  // One after the other: each would wait for the other's turn.
  const https = await overHttps(relay, caCerts);
  const stun = await overStun(relay);
  return {
    ...relay,
    ...https,
    ...(stun === undefined ? {} : { stun_ms: microseconds(stun) }),
  };
}

async function overHttps(
  { host, port }: RelayAddress,
  caCerts: readonly string[],
): Promise<Pick<RelayReport, "https_ms" | "error" | "untrusted">> {
  try {
    return await limited(() => openTls(host, port, caCerts), async (conn) => {
      // The first answer waits for code that has never run; the fastest is the way's.
      let https_ms = Infinity;
      for (let i = 0; i < ROUNDS; i++) {
        const began = performance.now();
        const status = statusOf(await get(conn, host, "/derp/probe"));
        https_ms = Math.min(https_ms, microseconds(performance.now() - began));
        if (status !== 200) return { https_ms, error: `it answers ${status ?? "no HTTP"}` };
      }
      return { https_ms };
    });
  } catch (error) {
    const reason = reasonOf(error, 120);
    if (!isAboutCertificate(reason)) return { error: reason };
    return { error: `its certificate is not trusted (${reason})`, untrusted: true };
  }
}

async function overStun({ host }: RelayAddress): Promise<number | undefined> {
  const name = ipaddr.IPv6.isValid(host) ? `[${host}]` : host;
  try {
    let least: number | undefined;
    for (let i = 0; i < ROUNDS; i++) {
      const { servers } = await probe({
        port: 0,
        servers: [`${name}:${STUN_PORT}`],
        timeoutMs: LIMIT,
      });
      const times = servers.flatMap(({ rttMs, error }) => error === undefined ? rttMs ?? [] : []);
      if (times.length === 0) return least;
      least = Math.min(least ?? Infinity, ...times);
    }
    return least;
  } catch {
    return undefined;
  }
}

/**
 * Asks a relay's plain HTTP port for a page that only it can answer: it repeats our random challenge.
 * A captive portal answers something else. Never rejects.
 */
export async function findCaptivePortal(
  host: string,
  port: number = HTTP_PORT,
): Promise<CaptivePortal> {
  const challenge = crypto.randomUUID();
  try {
    return await limited(() => Deno.connect({ hostname: host, port }), async (conn) => {
      const header = `X-Nexodus-Challenge: ${challenge}\r\n`;
      const head = await get(conn, host, "/generate_204", header);
      const status = statusOf(head);
      const answer = /^x-nexodus-response: *(.*?) *\r?$/im.exec(head)?.[1];
      if (status === 204 && answer === `response ${challenge}`) {
        return { found: "no", reason: `${host} answers itself` };
      }
      // The reference relay knows an older name of the header, and none at all in places.
      if (status === 204 && answer === undefined) {
        return { found: "no", reason: `${host} answers 204` };
      }
      return {
        found: "yes",
        reason: `somebody else answers for ${host} with ${status ?? "no status"}`,
      };
    });
  } catch (error) {
    return { found: "unknown", reason: `${host} port ${port}: ${reasonOf(error, 80)}` };
  }
}
