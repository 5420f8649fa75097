/**
 * Which clients are inside a rollout percentage: a choice that is the same for an address each
 * time, on each relay (DERP: `/bootstrap-dns`).
 */
import ipaddr from "ipaddr.js";

const MASK_64 = (1n << 64n) - 1n;
const MASK_128 = (1n << 128n) - 1n;

/** Multiplier and increment of the 128-bit congruential generator (O'Neill, PCG, 2014). */
const MULTIPLIER = (2549297995355413924n << 64n) | 4865540595714422341n;
const INCREMENT = (6364136223846793005n << 64n) | 1442695040888963407n;
/** The cheap multiplier of its DXSM output: double xor-shift, multiply. */
const OUTPUT_MULTIPLIER = 0xda942042e4dd58b5n;

/** The first number of a PCG-DXSM generator, in [0, 1), from a 128-bit seed in two halves. */
export function firstFloat(high: bigint, low: bigint): number {
  const state = (((high << 64n) | low) * MULTIPLIER + INCREMENT) & MASK_128;
  let out = state >> 64n;
  out ^= out >> 32n;
  out = (out * OUTPUT_MULTIPLIER) & MASK_64;
  out ^= out >> 48n;
  out = (out * ((state & MASK_64) | 1n)) & MASK_64;
  return Number(out & ((1n << 53n) - 1n)) / 2 ** 53;
}

/**
 * Tells whether a client is inside a percentage.
 *
 * @param address the client's IP address; one that cannot be read is outside
 * @param part 0 to 1
 */
export function insidePercentage(address: string, part: number): boolean {
  if (part <= 0) return false;
  if (part >= 1) return true;
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  // On the relay's own host the choice can be tried out.
  if (parsed.range() === "loopback") return Math.random() < 0.5;
  const wide = parsed instanceof ipaddr.IPv4 ? parsed.toIPv4MappedAddress() : parsed;
  const bytes = new DataView(new Uint8Array(wide.toByteArray()).buffer);
  return part > firstFloat(bytes.getBigUint64(0, true), bytes.getBigUint64(8, true));
}
