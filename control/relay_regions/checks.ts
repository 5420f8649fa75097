/** Fields of a relay that agents could not use, refused at the door. */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { fieldInvalid } from "../http/mod.ts";

/** What agents take of a CA: characters, and certificates in it. */
const MAX_CA = 8 * 1024, MAX_CERTIFICATES = 3;

const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;
const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const NAME = new RegExp(`^(?=.{1,253}$)(?:${LABEL}\\.)*${LABEL}$`);

/** A DNS name in lower case, or an IP address; 400 for anything else. */
export function checkHostname(given: string): string {
  const name = given.toLowerCase().replace(/\.$/, "");
  if (isIP(name) !== 0 && !name.includes("%")) return name;
  if (NAME.test(name) && !/(^|\.)\d+$/.test(name)) return name;
  throw fieldInvalid("hostname", "is neither a DNS name nor an IP address");
}

/** PEM of one to three CAs, `""` for none; 400 for anything else. */
export function checkAuthority(given: string | null | undefined): string {
  const text = (given ?? "").trim();
  if (text === "") return "";
  const refuse = (reason: string) => fieldInvalid("ca", reason);
  if (text.length > MAX_CA) throw refuse(`is longer than ${MAX_CA} characters`);
  const blocks = text.match(BLOCK) ?? [];
  if (blocks.length === 0 || text.replace(BLOCK, "").trim() !== "") {
    throw refuse("holds something else than PEM certificates");
  }
  if (blocks.length > MAX_CERTIFICATES) throw refuse(`has more than ${MAX_CERTIFICATES} parts`);
  for (const block of blocks) if (!isAuthority(block)) throw refuse("is not an authority's");
  return blocks.map((block) => `${block}\n`).join("");
}

function isAuthority(pem: string): boolean {
  try {
    return new X509Certificate(pem).ca;
  } catch {
    return false;
  }
}
