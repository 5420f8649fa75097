/**
 * What an ACME source is told, checked before anything is asked of a CA.
 *
 * @module
 */

import { CertificateError } from "../error.ts";
import { canonicalName, isIpAddress } from "../inspect.ts";

/** Directories of the CAs that have a `--certmode` of their own. */
export const ACME_DIRECTORIES = {
  letsencrypt: "https://acme-v02.api.letsencrypt.org/directory",
  gcp: "https://dv.acme-v02.api.pki.goog/directory",
} as const;

/** Profile of short-lived certificates, the only ones that Let's Encrypt gives to IP addresses. */
const IP_PROFILE = "shortlived";

/** Serves one TLS-ALPN-01 validation (RFC 8737): while it lasts, clients that offer only the
 * protocol `acme-tls/1` must get this certificate and no other. */
export interface AlpnChallenge {
  /** PEM of the challenge certificate. */
  cert: string;
  /** PEM of its key. */
  key: string;
}

/** Waits and limits, ms. */
export interface AcmeTimes {
  /** One attempt, from account to certificate. */
  attemptMs: number;
  /** Pause after the first failure; doubles with each one. */
  firstRetryMs: number;
  /** Longest pause, unless the CA asks for a longer one. */
  maxRetryMs: number;
  /** Longest time between two looks at the wall clock. */
  checkMs: number;
  /** First pause between two looks at an order; grows to ten times. */
  pollMs: number;
}

export const DEFAULT_TIMES: AcmeTimes = {
  attemptMs: 180_000,
  firstRetryMs: 60_000,
  maxRetryMs: 1_800_000,
  checkMs: 3_600_000,
  pollMs: 500,
};

/** What an ACME source is told. */
export interface AcmeOptions {
  /** `letsencrypt` or `gcp`, or what the status shall say. */
  mode?: string;
  /** Where certificate, account key and state are kept; made with mode 0700. */
  directory: string;
  /** The DNS name or IP address that the certificate is for; names the files. */
  hostname: string;
  /** Further DNS names that it is for. */
  alsoNames?: readonly string[] | undefined;
  /** The CA's directory. Default: that of `mode`. */
  directoryUrl?: string | undefined;
  /** Where the CA may send mail to. */
  email?: string | undefined;
  /** External account binding (RFC 8555 section 7.3.4): key in base64 or unpadded base64url. */
  eab?: { kid?: string | undefined; key?: string | undefined } | undefined;
  /** Asked for when the CA lists it. Default: `shortlived` for an IP address, else none. */
  profile?: string | undefined;
  /** PEM of the CA that signed the ACME server's own certificate; default: the public ones. */
  ca?: string | undefined;
  /** An IP address is only taken as the hostname when this is true. */
  ipCerts?: boolean | undefined;
  /** Whether port 80 answers with `challenge()` (HTTP-01). Default true. */
  http?: boolean | undefined;
  /**
   * Makes the owner of the TLS port serve a challenge (TLS-ALPN-01), or end that when undefined;
   * used when `http` is false. `Deno.listenTls` cannot choose a certificate by the protocol a client
   * offers, and refuses this one for its critical extension: put an `AlpnGate` on the port for these
   * seconds. It must be in place when the promise resolves.
   */
  presentAlpn?: ((challenge: AlpnChallenge | undefined) => Promise<void> | void) | undefined;
  /** The wall clock, ms since the epoch. */
  now?: () => number;
  /** For jitter, 0 to 1. */
  random?: () => number;
  times?: Partial<AcmeTimes>;
}

/** Checked options. */
export interface AcmeSettings {
  mode: string;
  directory: string;
  hostname: string;
  /** All names of the certificate, `hostname` first. */
  names: string[];
  isIp: boolean;
  directoryUrl: string;
  email: string | undefined;
  eab: { kid: string; hmacKey: string } | undefined;
  profile: string | undefined;
  ca: string | undefined;
  http: boolean;
  presentAlpn: AcmeOptions["presentAlpn"];
  now: () => number;
  random: () => number;
  times: AcmeTimes;
}

/**
 * Checks options.
 *
 * @throws {CertificateError} with the flag that is wrong
 */
export function checkOptions(options: AcmeOptions): AcmeSettings {
  const mode = options.mode ?? "letsencrypt";
  const hostname = canonicalName(options.hostname);
  const isIp = isIpAddress(hostname);
  const also = (options.alsoNames ?? []).map((name) => {
    checkDnsName(name, canonicalName(name));
    return canonicalName(name);
  });
  if (!isIp) checkDnsName(options.hostname, hostname);
  if (isIp && mode === "gcp") {
    throw wrong(
      mode,
      `it gives no certificates for IP addresses such as ${hostname}`,
      "give a DNS name as --hostname",
    );
  }
  if (isIp && options.ipCerts !== true) {
    throw wrong(
      mode,
      `${hostname} is an IP address`,
      "add --acme-ip-certs, or give a DNS name as --hostname",
    );
  }
  const eab = bindingOf(options, mode);
  if (options.http === false && options.presentAlpn === undefined) {
    throw wrong(
      mode,
      "the CA could not look here",
      "serve port 80 (--http-port) or TLS on port 443",
    );
  }
  return {
    mode,
    directory: options.directory,
    hostname,
    names: [...new Set([hostname, ...also])],
    isIp,
    directoryUrl: directoryUrlOf(options, mode),
    email: emailOf(options.email, mode),
    eab,
    profile: options.profile ?? (isIp ? IP_PROFILE : undefined),
    ca: options.ca,
    http: options.http ?? true,
    presentAlpn: options.presentAlpn,
    now: options.now ?? Date.now,
    random: options.random ?? Math.random,
    times: { ...DEFAULT_TIMES, ...options.times },
  };
}

function checkDnsName(given: string, name: string): void {
  const label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
  const isName = name.length <= 253 && new RegExp(`^(${label}\\.)+${label}$`).test(name) &&
    !/\.[0-9]+$/.test(name);
  if (isName) return;
  throw new CertificateError(
    `Cannot get a certificate for "${given}": it is no public DNS name; give one as --hostname, or ` +
      "use --certmode selfsigned",
    2,
  );
}

function directoryUrlOf(options: AcmeOptions, mode: string): string {
  const text = options.directoryUrl ??
    (Object.hasOwn(ACME_DIRECTORIES, mode)
      ? ACME_DIRECTORIES[mode as keyof typeof ACME_DIRECTORIES]
      : "");
  const url = URL.parse(text);
  if (url?.protocol === "https:") return url.href;
  throw wrong(mode, `directory "${text}" is no https URL`, "give --acme-directory one");
}

function emailOf(email: string | undefined, mode: string): string | undefined {
  if (email === undefined || email === "") return undefined;
  if (/^[^\s@,?&]{1,64}@[^\s@,?&]{1,255}$/.test(email)) return email;
  throw wrong(mode, `"${email}" is no mail address`, "give --acme-email one");
}

function bindingOf(options: AcmeOptions, mode: string): AcmeSettings["eab"] {
  const kid = options.eab?.kid ?? "";
  const key = options.eab?.key ?? "";
  const missing = [
    ...(kid === "" ? ["--acme-eab-kid"] : []),
    ...(key === "" ? ["--acme-eab-key"] : []),
    ...(mode === "gcp" && !options.email ? ["--acme-email"] : []),
  ];
  if (mode !== "gcp" && kid === "" && key === "") return undefined;
  if (missing.length > 0) {
    throw wrong(
      mode,
      `${missing.join(", ")} missing`,
      "give what the CA handed out for this account",
    );
  }
  const bytes = decodeKey(key);
  if (bytes === undefined || bytes.length === 0) {
    // The key is a secret: it is not repeated.
    throw wrong(
      mode,
      "--acme-eab-key is neither base64 nor unpadded base64url",
      "copy it once more",
    );
  }
  return { kid, hmacKey: bytes.toBase64() };
}

/** Both spellings that CAs hand out; anything else is a slip of copying. */
function decodeKey(text: string): Uint8Array | undefined {
  for (const alphabet of ["base64", "base64url"] as const) {
    try {
      const padded = alphabet === "base64";
      if (!padded && text.includes("=")) continue;
      return Uint8Array.fromBase64(text, {
        alphabet,
        lastChunkHandling: padded ? "strict" : "loose",
      });
    } catch {
      // The other alphabet, then.
    }
  }
  return undefined;
}

function wrong(mode: string, what: string, remedy: string): CertificateError {
  return new CertificateError(`Cannot use --certmode ${mode}: ${what}; ${remedy}`, 2);
}
