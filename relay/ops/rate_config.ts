/** The file of `--rate-config` (DERP: receive rate limit on the server). */
import { reasonOf } from "../cert/mod.ts";
import { RelayError } from "../errors.ts";

/** The largest frame that is charged: a bucket must hold it, or it could never pass. */
const MIN_BURST = 65_568;

/** A few lines of JSON; more is some other file. */
const MAX_FILE = 64 * 1024;

/** What one client may send, in bytes of frames. */
export interface RateConfig {
  bytesPerSecond: number;
  burst: number;
}

/**
 * Reads the limits. Member names match in any case, as the reference relay's do.
 *
 * @returns undefined when the file sets no limit
 * @throws RelayError naming the file and what is wrong with it
 */
export async function loadRateConfig(path: string): Promise<RateConfig | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "no such file" : reasonOf(error);
    throw new RelayError(`Cannot read --rate-config ${path}: ${reason}; check the path`);
  }
  const wrong = (what: string) =>
    new RelayError(
      `Cannot use --rate-config ${path}: ${what}; write ` +
        '{"PerClientRateLimitBytesPerSec": 1000000, "PerClientRateBurstBytes": 2000000}',
    );
  let value: unknown;
  try {
    value = JSON.parse(text.length > MAX_FILE ? "" : text);
  } catch {
    throw wrong("it is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong("it is no JSON object");
  }
  const members = new Map(Object.entries(value).map(([name, v]) => [name.toLowerCase(), v]));
  const whole = (name: string) => {
    const given = members.get(name.toLowerCase()) ?? 0;
    if (Number.isSafeInteger(given) && given >= 0) return given as number;
    throw wrong(`${name} is not a whole number from 0 on`);
  };
  const bytesPerSecond = whole("PerClientRateLimitBytesPerSec");
  const burst = whole("PerClientRateBurstBytes");
  return bytesPerSecond === 0 ? undefined : { bytesPerSecond, burst: Math.max(burst, MIN_BURST) };
}
