/**
 * The device flow (RFC 8628) from the host's side: show a link and a code, and ask until a person has
 * decided. A code that runs out is replaced by the next one, a network that is away is waited out.
 *
 * @module
 */
import { type Api, ApiFailure, pause } from "../../api/mod.ts";
import { OnboardRefusal } from "../refusals.ts";
import type { OidcToken, PendingLogin } from "../store/mod.ts";
import { type Issuer, requestToken, startDeviceFlow } from "./client.ts";

const GRANT = "urn:ietf:params:oauth:grant-type:device_code";
/** By how much `slow_down` lengthens the pause, s (RFC 8628, 3.5), and the longest pause. */
const SLOW_DOWN = 5, MAX_INTERVAL = 60;

/** What a person has to do: open the link and confirm the code there. */
export interface LoginPrompt {
  url: string;
  code: string;
  /** ms since the epoch */
  expiresAt: number;
}

/** How a flow is run. */
interface FlowOptions {
  api: Api;
  issuer: Issuer;
  /** What the page calls this host. */
  hostname: string;
  /** A flow that an earlier process began. */
  pending?: PendingLogin | undefined;
  signal: AbortSignal;
  /** Shows the prompt; undefined: it is over. */
  show(prompt: LoginPrompt | undefined): void;
  /** Keeps the flow over a restart; undefined: it is over. */
  remember(pending: PendingLogin | undefined): void;
  now(): number;
}

/**
 * Runs a device flow to its end.
 *
 * @throws {OnboardRefusal} when the person turned the host away
 * @throws {ApiFailure} when none can be started
 * @returns undefined when the signal aborted
 */
export async function deviceFlow(options: FlowOptions): Promise<OidcToken | undefined> {
  const { signal, show, remember, now } = options;
  let pending = options.pending;
  try {
    while (!signal.aborted) {
      if (pending === undefined || pending.expiresAt <= now()) {
        pending = await begin(options);
        remember(pending);
      }
      show({ url: pending.url, code: pending.userCode, expiresAt: pending.expiresAt });
      const token = await ask(options, pending);
      if (token !== undefined) {
        remember(undefined);
        return token;
      }
      pending = undefined;
    }
    return undefined;
  } catch (error) {
    if (error instanceof OnboardRefusal) remember(undefined);
    throw error;
  } finally {
    show(undefined);
  }
}

async function begin({ api, issuer, hostname, signal, now }: FlowOptions): Promise<PendingLogin> {
  const start = await startDeviceFlow(api, issuer, hostname, signal);
  const { deviceCode, userCode, url, interval, expiresIn } = start;
  return { deviceCode, userCode, url, interval, expiresAt: now() + expiresIn * 1000 };
}

/** Asks until there is an answer; undefined when the code has run out or the signal aborted. */
async function ask(
  { api, issuer, signal, now }: FlowOptions,
  pending: PendingLogin,
): Promise<OidcToken | undefined> {
  let interval = pending.interval;
  while (now() < pending.expiresAt) {
    await pause(interval * 1000, signal);
    if (signal.aborted) return undefined;
    const grant = { grant_type: GRANT, device_code: pending.deviceCode };
    let answer;
    try {
      answer = await requestToken(api, issuer, grant, { now: now(), signal });
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!(error instanceof ApiFailure) || !error.transient) throw error;
      interval = Math.min(interval + SLOW_DOWN, MAX_INTERVAL);
      continue;
    }
    if ("accessToken" in answer) return answer;
    switch (answer.error) {
      case "slow_down":
        interval = Math.min(interval + SLOW_DOWN, MAX_INTERVAL);
        break;
      case "access_denied":
        throw new OnboardRefusal(
          `This host was turned away on the sign-in page of ${issuer.url.host}; start nexd again ` +
            "to ask once more, or sign in with --username or --reg-key",
        );
      case "expired_token":
      case "invalid_grant":
        return undefined;
    }
  }
  return undefined;
}
