/** What stands before the API: which pages of others may use it, and how much one client may ask. */
import type { MiddlewareHandler } from "hono";
import type { Principal } from "../auth/mod.ts";
import { type ApiContext, type Env, Problem } from "../http/mod.ts";
import { Attempts, networkOf } from "../users/mod.ts";

/** How much is let through. */
export interface RateOptions {
  /** Requests a second of one credential; an address may send twice as many. */
  perSecond: number;
  /** Hears of each request that is refused. */
  limited?: (by: "address" | "credential") => void;
  now?: () => number;
}

/** So many seconds' worth of requests may come at once: a site's agents start together. */
const BURST_SECONDS = 10;

/** Counts requests by credential and by address. */
export class Rates {
  readonly #credentials: Attempts;
  readonly #addresses: Attempts;
  readonly #limited: RateOptions["limited"];

  constructor({ perSecond, limited, now = Date.now }: RateOptions) {
    this.#limited = limited;
    const limits = (rate: number) => ({ burst: rate * BURST_SECONDS, everyMs: 1000 / rate });
    this.#credentials = new Attempts(limits(perSecond), now);
    this.#addresses = new Attempts(limits(2 * perSecond), now);
  }

  /** Counts a request of an IP address; 429 for one too many. */
  countAddress(address: string): void {
    count(this.#addresses, networkOf(address), () => this.#limited?.("address"));
  }

  /** Counts a request of a caller; 429 for one too many. */
  countCaller(principal: Principal): void {
    const { kind, ownerId } = principal;
    const id = kind === "device"
      ? principal.device.id
      : kind === "reg-key"
      ? principal.regKey.id
      : ownerId;
    count(this.#credentials, `${kind} ${id}`, () => this.#limited?.("credential"));
  }
}

function count(attempts: Attempts, key: string, limited: () => void): void {
  const wait = attempts.wait(key);
  if (wait > 0) {
    limited();
    const seconds = Math.ceil(wait / 1000);
    throw new Problem(429, { error: `too many requests: wait ${seconds} s` }, {
      "retry-after": String(seconds),
    });
  }
  attempts.take(key);
}

/** Refuses what an address asks too much, before anything is looked up for it. Probes are let through. */
export function limitAddresses(rates: Rates | undefined): MiddlewareHandler<Env> {
  return async (c, next) => {
    const address = c.env?.remoteAddr?.hostname;
    if (address !== undefined && !c.req.path.startsWith("/private/")) rates?.countAddress(address);
    await next();
  };
}

/** What a page of another origin may send, and read of the answers. */
const ALLOWED: readonly (readonly [string, string])[] = [
  ["access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE"],
  ["access-control-allow-headers", "authorization, content-type"],
  ["access-control-max-age", "600"],
];
const EXPOSED = "X-Total-Count, X-Request-Id, Retry-After";

/**
 * Lets pages of these origins use the API. Credentials are in a header that a page must know, no cookie
 * speaks for anybody, so all that other pages lack is the answer.
 */
export function allowOrigins(origins: readonly string[]): MiddlewareHandler<Env> {
  const known = new Set(origins);
  return async (c, next) => {
    const origin = c.req.header("origin");
    if (known.size === 0) return await next();
    if (origin === undefined || !known.has(origin)) {
      await next();
      c.res.headers.append("vary", "Origin");
      return;
    }
    if (isPreflight(c)) {
      c.res = new Response(null, { status: 204, headers: ALLOWED.map(([...pair]) => pair) });
    } else {
      await next();
      c.res.headers.set("access-control-expose-headers", EXPOSED);
    }
    c.res.headers.set("access-control-allow-origin", origin);
    c.res.headers.append("vary", "Origin");
  };
}

function isPreflight(c: ApiContext): boolean {
  return c.req.method === "OPTIONS" &&
    c.req.header("access-control-request-method") !== undefined;
}
