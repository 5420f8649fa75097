/**
 * A meta certificate that stays valid in a relay that runs for months.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { metaCert } from "../meta.ts";
import { Ticker } from "../ticker.ts";

const logger = getLogger(["nexd", "relay", "cert"]);

const CHECK_MS = 3_600_000;
/** It is valid for 30 days. */
const RENEW_AFTER_MS = 20 * 86_400_000;

/** A meta certificate that is made anew from time to time. */
export interface MetaCert extends AsyncDisposable {
  /** PEM to append to the chain. */
  readonly current: string;
  /** Called with each one after the first: open a new listener. */
  onChange: ((pem: string) => void) | undefined;
  /** Makes a new one now, say because the certificate has changed; `onChange` is not called. */
  refresh(): Promise<string>;
  close(): Promise<void>;
}

/**
 * Makes a relay's meta certificate (DERP: meta cert), and a new one when 10 of its 30 days are left.
 *
 * @param publicKey the relay's DERP public key, 32 bytes
 */
export async function openMetaCert(
  publicKey: Uint8Array,
  { now = Date.now, checkMs = CHECK_MS }: { now?: () => number; checkMs?: number } = {},
): Promise<MetaCert> {
  let current = await metaCert(publicKey);
  let madeAt = now();
  const refresh = async () => {
    current = await metaCert(publicKey);
    madeAt = now();
    return current;
  };
  const ticker = new Ticker(checkMs, async () => {
    if (Math.abs(now() - madeAt) < RENEW_AFTER_MS) return; // a clock that went back counts too
    try {
      meta.onChange?.(await refresh());
    } catch (error) {
      logger.error("renewed meta certificate cannot be served: {error}", { error });
    }
  });
  const meta: MetaCert = {
    get current() {
      return current;
    },
    onChange: undefined,
    refresh,
    close: () => ticker.close(),
    [Symbol.asyncDispose]: () => ticker.close(),
  };
  return meta;
}
