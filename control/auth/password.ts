/** Passwords of users, kept as scrypt hashes. */
import { Buffer } from "node:buffer";
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";

/** What a try costs, as scrypt's parameters. */
export interface PasswordCost {
  N: number;
  r: number;
  p: number;
}

/** 32 MiB and about a tenth of a second a try: OWASP's second recommendation for scrypt. */
const COST: PasswordCost = { N: 2 ** 15, r: 8, p: 3 };
const MAX_MEMORY = 64 * 1024 * 1024;

/**
 * Hashes a password to text that names its own parameters: `scrypt$N$r$p$salt$hash`.
 *
 * @param cost less only in tests, whose passwords nobody wants
 */
export async function hashPassword(password: string, cost = COST): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, cost);
  const fields = [
    "scrypt",
    cost.N,
    cost.r,
    cost.p,
    salt.toString("base64"),
    hash.toString("base64"),
  ];
  return fields.join("$");
}

/** Whether `password` is the one that was hashed to `stored`. */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const [kind, n, r, p, salt, hash] = stored.split("$");
  if (kind !== "scrypt" || !salt || !hash) return false;
  const expected = Buffer.from(hash, "base64");
  const cost = { N: Number(n), r: Number(r), p: Number(p) };
  return timingSafeEqual(await derive(password, Buffer.from(salt, "base64"), cost), expected);
}

function derive(password: string, salt: Uint8Array, cost: PasswordCost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { ...cost, maxmem: MAX_MEMORY };
    scrypt(password, salt, 32, options, (error, key) => error ? reject(error) : resolve(key));
  });
}
