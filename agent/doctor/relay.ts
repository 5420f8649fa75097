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
const LIMIT = 4_000;

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

/** Asks a relay over HTTPS and STUN. Never rejects. */
export async function lookAtRelay(
  relay: RelayAddress,
  caCerts: readonly string[],
): Promise<RelayReport> {
  const [https, stun] = await Promise.all([overHttps(relay, caCerts), overStun(relay)]);
  return {
    ...relay,
    ...https,
    ...(stun === undefined ? {} : { stun_ms: stun }),
  };
}

async function overHttps(
  { host, port }: RelayAddress,
  caCerts: readonly string[],
): Promise<Pick<RelayReport, "https_ms" | "error" | "untrusted">> {
  try {
    return await limited(() => openTls(host, port, caCerts), async (conn) => {
      const began = performance.now();
      const head = await get(conn, host, "/derp/probe");
      const https_ms = performance.now() - began;
      const status = statusOf(head);
      return status === 200 ? { https_ms } : { https_ms, error: `it answers ${status ?? "?"}` };
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
    const { servers } = await probe({
      port: 0,
      servers: [`${name}:${STUN_PORT}`],
      timeoutMs: LIMIT,
    });
    const times = servers.flatMap(({ rttMs, error }) => error === undefined ? rttMs ?? [] : []);
    return times.length === 0 ? undefined : Math.min(...times);
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
