/**
 * Keeping secrets out of what is given to others: by their form, and by value where we know it.
 *
 * @module
 */

/** Names whose values are secrets, in files and in the environment. */
const SECRET_NAME = /private|secret|token|password|passwd|reg[-_]?key|psk|credential|code$/i;
/** Shorter values are words that would be taken out of everything. */
const SHORTEST = 6;

/** Forms of secrets, and what stays of them. */
const FORMS: [RegExp, string][] = [
  [/\b(RK|DT):[^\s"'\\,;)\]}]+/g, "$1:<removed>"],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, "$1 <removed>"],
  [/(--?(?:password|reg-key)(?:=|\s+))(?:"[^"]*"|'[^']*'|\S+)/g, "$1<removed>"],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, "<removed token>"],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?-----END [A-Z ]*PRIVATE KEY-----/g, "<removed key>"],
  [/((?:private|preshared)[-_ ]?key["']?\s*[:=]\s*["']?)[\w+/=-]{8,}/gi, "$1<removed>"],
  [
    /((?:password|passwd|secret|token|user_code|device_code)["']?\s*[:=]\s*["']?)[^\s"',;&]{3,}/gi,
    "$1<removed>",
  ],
];

/** The values in a JSON text that are secrets by their names. */
export function secretsIn(json: string): string[] {
  const found: string[] = [];
  const walk = (value: unknown, secret: boolean): void => {
    if (typeof value === "string") {
      if (secret && value.length >= SHORTEST) found.push(value);
    } else if (typeof value === "object" && value !== null) {
      for (const [name, below] of Object.entries(value)) {
        walk(below, secret || SECRET_NAME.test(name));
      }
    }
  };
  try {
    walk(JSON.parse(json), false);
  } catch { /* a damaged file is not read, so nothing of it gets out */ }
  return found;
}

/** Whether the value of a variable is a secret by its name. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** The values of variables that are secrets by their names. */
export function secretsOf(environment: Readonly<Record<string, string>>): string[] {
  return Object.entries(environment).flatMap(([name, value]) =>
    SECRET_NAME.test(name) && value.length >= SHORTEST ? [value, value.replace(/^.*#/, "")] : []
  );
}

/** A text without secrets. */
export function withoutSecrets(text: string, known: readonly string[]): string {
  let clean = text;
  for (const secret of known) if (secret !== "") clean = clean.replaceAll(secret, "<removed>");
  for (const [form, rest] of FORMS) clean = clean.replace(form, rest);
  return clean;
}
