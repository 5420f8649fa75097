/**
 * A certificate authority that a relay published for itself: bounded, whole, and an authority.
 *
 * @module
 */
import { getBuiltinModule } from "node:process";

/** Longest text, characters, and most certificates in it: one, or two while one follows another. */
const MAX_TEXT = 8 * 1024, MAX_CERTIFICATES = 3;

type Verdict = string[] | { refused: string } | undefined;

const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** The last one judged: passes ask again and again about the same. */
let last: { text: string; verdict: Verdict } | undefined;

/**
 * Judges the `ca` of a relay's metadata.
 *
 * @returns PEM texts, one each; why they are not used; or undefined when there is none
 */
export function judgeAuthority(value: unknown): Verdict {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "string") return { refused: "is no text and not used" };
  if (value.length > MAX_TEXT) return { refused: `is longer than ${MAX_TEXT} and not used` };
  if (last?.text !== value) last = { text: value, verdict: judge(value) };
  return last.verdict;
}

function judge(text: string): Verdict {
  const blocks = text.match(BLOCK) ?? [];
  if (blocks.length === 0 || text.replace(BLOCK, "").includes("-----")) {
    return { refused: "is no PEM certificate and not used" };
  }
  if (blocks.length > MAX_CERTIFICATES) return { refused: "has too many parts and is not used" };
  const { X509Certificate } = getBuiltinModule("node:crypto");
  try {
    for (const block of blocks) {
      if (!new X509Certificate(block).ca) return { refused: "is no authority's and not used" };
    }
  } catch {
    return { refused: "is malformed and not used" };
  }
  return blocks.map((block) => `${block}\n`);
}
