/**
 * What the flags of `nexd relayderp` come to: every value checked once, with one sentence for each
 * that cannot be used.
 */
import { isIP } from "node:net";
import { RelayError } from "../errors.ts";
import { parseHostPort, type RealtimeMode } from "../net/mod.ts";
import { parseDuration } from "../ops/mod.ts";

/** Values of the flags, by name. */
export type Values = Record<string, string | number | boolean | string[] | undefined>;

export type CertMode = "none" | "manual" | "selfsigned" | "letsencrypt" | "gcp";

/** Where the certificate comes from. */
export interface CertificateSettings {
  mode: CertMode;
  directory: string;
  email: string | undefined;
  eab: { kid: string; key: string } | undefined;
  acmeDirectory: string | undefined;
  /** File of CAs for the ACME server's own TLS. */
  acmeCa: string | undefined;
}

/** Who is let in. */
export interface AdmissionSettings {
  file: string | undefined;
  url: string | undefined;
  failOpen: boolean;
  /** Socket of the local tailscaled; undefined when it is not asked. */
  tailscaled: string | undefined;
}

/** The checked flags. Times in milliseconds; undefined means none or not given. */
export interface Settings {
  addr: { hostname: string; port: number };
  hostname: string;
  httpPort: number | undefined;
  stunPort: number | undefined;
  keyFile: string | undefined;
  dev: boolean;
  derp: boolean;
  home: string;
  certificate: CertificateSettings;
  workers: number | undefined;
  realtime: RealtimeMode;
  drainMs: number;
  runDir: string | undefined;
  mesh: { keyFile: string | undefined; with: string[]; caFile: string | undefined };
  bootstrapDns: { published: string[]; unpublished: string[] };
  admission: AdmissionSettings;
  /** Join a VPC, see the agent's room. */
  onboard: boolean;
  acceptLimit: { perSecond: number; burst: number } | undefined;
  /** 0: no limit. */
  perAddress: number | undefined;
  /** 0: none. */
  keepAliveMs: number;
  /** 0: the system's own. */
  userTimeoutMs: number;
  /** 0: none. */
  writeMs: number;
  rateConfig: string | undefined;
  debug: { networks: string[]; keyFile: string | undefined };
}

const DEV_PORT = 3340;

/** The name that every agent knows without being told. */
const PUBLIC_RELAY = "relay.nexodus.io";

/** Certificates are kept here unless `--certdir` says otherwise. */
const DEFAULT_CERT_DIR = "/var/lib/nexd/certs";

/** More processes than any machine has cores for. */
const MAX_WORKERS = 256;

const MAX_DRAIN_MS = 600_000;

/** Where tailscaled listens unless `--socket` says otherwise. */
const TAILSCALED = "/var/run/tailscale/tailscaled.sock";

/** Says what is wrong with flags; see {@linkcode readSettings}. */
export function checkRelayFlags(values: Values): void {
  readSettings(values);
}

/**
 * Checks the flags.
 *
 * @throws RelayError (or AddressError) with exit code 2, naming flag, value and remedy
 */
export function readSettings(values: Values): Settings {
  const dev = values.dev === true;
  const hostname = hostnameOf(values);
  const certificate = certificateOf(values, hostname, dev);
  const mesh = {
    keyFile: text(values["mesh-psk-file"]),
    with: list(values["mesh-with"]),
    caFile: text(values["mesh-ca"]),
  };
  if (mesh.with.length > 0 && mesh.keyFile === undefined && !dev) {
    throw bad("mesh-with", mesh.with.join(","), "no mesh key; give --mesh-psk-file too");
  }
  if (values.onboard === true && hostname === PUBLIC_RELAY) {
    throw bad("onboard", true, `${PUBLIC_RELAY} is the public relay; give your own --hostname`);
  }
  return {
    addr: dev ? { hostname: "", port: DEV_PORT } : parseHostPort(text(values.addr) ?? ":443", 443),
    hostname,
    httpPort: dev || values["http-port"] === -1 ? undefined : port(values, "http-port", 80),
    stunPort: values.stun === false ? undefined : port(values, "stun-port", 3478),
    keyFile: text(values.c),
    dev,
    derp: values.derp !== false,
    home: homeOf(values),
    certificate,
    workers: whole(values, "workers", 1, MAX_WORKERS),
    realtime: (text(values.realtime) ?? "off") as RealtimeMode,
    drainMs: duration(values, "drain", "5s", MAX_DRAIN_MS),
    runDir: text(values["run-dir"]),
    mesh,
    bootstrapDns: {
      published: list(values["bootstrap-dns-names"]),
      unpublished: list(values["unpublished-bootstrap-dns-names"]),
    },
    admission: admissionOf(values),
    onboard: values.onboard === true,
    acceptLimit: acceptLimitOf(values),
    perAddress: whole(values, "max-connections-per-address", 0, 1e9),
    keepAliveMs: duration(values, "tcp-keepalive-time", "10m"),
    userTimeoutMs: duration(values, "tcp-user-timeout", "15s"),
    writeMs: duration(values, "tcp-write-timeout", "2s"),
    rateConfig: text(values["rate-config"]),
    debug: {
      networks: list(values["debug-networks"]),
      keyFile: text(values["debug-key-file"]),
    },
  };
}

function bad(name: string, value: unknown, state: string): RelayError {
  const shown = String(value);
  const short = shown.length > 100 ? `${shown.slice(0, 100)}…` : shown;
  return new RelayError(`Cannot use --${name} ${short}: ${state}`, 2);
}

function text(value: Values[string]): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function list(value: Values[string]): string[] {
  return Array.isArray(value) ? value : [];
}

function port(values: Values, name: string, fallback: number): number {
  const value = values[name] ?? fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 65535) {
    throw bad(name, value, "not a port; give 0 to 65535");
  }
  return value;
}

function whole(values: Values, name: string, min: number, max: number): number | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw bad(name, value, `out of range; give ${min} to ${max}`);
  }
  return value;
}

function duration(
  values: Values,
  name: string,
  fallback: string,
  max = 86_400_000 * 24,
): number {
  const given = text(values[name]) ?? fallback;
  const ms = parseDuration(given);
  if (ms === undefined) throw bad(name, given, "not a duration; write it as 10m0s, 15s or 250ms");
  if (ms < 0 || ms > max) {
    throw bad(name, given, `out of range; give 0 to ${max / 1000}s`);
  }
  return Math.round(ms);
}

function hostnameOf(values: Values): string {
  const hostname = text(values.hostname) ?? PUBLIC_RELAY;
  if (isIP(hostname) !== 0) return hostname;
  if (!/^[A-Za-z0-9_.-]+$/.test(hostname) || hostname.length > 253) {
    throw bad("hostname", hostname, "neither a DNS name nor an IP address");
  }
  return hostname;
}

function homeOf(values: Values): string {
  const home = text(values.home) ?? "";
  if (home === "" || home === "blank" || isHttpUrl(home)) return home;
  throw bad("home", home, "give blank or an http or https URL");
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === "https:" || url.protocol === "http:");
}

function certificateOf(values: Values, hostname: string, dev: boolean): CertificateSettings {
  const mode = dev ? "none" : text(values.certmode) ?? "letsencrypt";
  if (!isCertMode(mode) || (mode === "none" && !dev)) {
    throw bad("certmode", mode, "use manual, letsencrypt, gcp or selfsigned");
  }
  const ip = isIP(hostname) !== 0;
  const ipCerts = values["acme-ip-certs"] === true;
  if (mode === "gcp" && ip) throw bad("hostname", hostname, "certmode gcp takes DNS names only");
  if (mode === "letsencrypt" && ip && !ipCerts) {
    throw bad(
      "hostname",
      hostname,
      "an IP address; add --acme-ip-certs, or use --certmode manual or selfsigned",
    );
  }
  if (ipCerts && mode !== "letsencrypt") {
    throw bad("acme-ip-certs", "true", "only certmode letsencrypt has certificates for addresses");
  }
  const email = text(values["acme-email"]);
  if (email !== undefined && !/^[^\s@,]+@[^\s@,]+$/.test(email)) {
    throw bad("acme-email", email, "not a mail address");
  }
  if (mode === "gcp" && email === undefined) {
    throw bad("certmode", mode, "it needs --acme-email");
  }
  const acmeDirectory = text(values["acme-directory"]);
  if (acmeDirectory !== undefined && !acmeDirectory.startsWith("https://")) {
    throw bad("acme-directory", acmeDirectory, "not an https URL");
  }
  return {
    mode,
    directory: text(values.certdir) ?? DEFAULT_CERT_DIR,
    email,
    eab: eabOf(values, mode),
    acmeDirectory,
    acmeCa: text(values["acme-ca"]),
  };
}

const CERT_MODES = ["none", "manual", "selfsigned", "letsencrypt", "gcp"];

function isCertMode(mode: string): mode is CertMode {
  return CERT_MODES.includes(mode);
}

function eabOf(values: Values, mode: CertMode): { kid: string; key: string } | undefined {
  const kid = text(values["acme-eab-kid"]);
  const key = text(values["acme-eab-key"]);
  if (kid === undefined && key === undefined && mode !== "gcp") return undefined;
  if (kid === undefined) throw bad("certmode", mode, "it needs --acme-eab-kid with the key");
  if (key === undefined) throw bad("certmode", mode, "it needs --acme-eab-key with the key id");
  // The key's value is a secret, so it is not shown.
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(key)) {
    throw new RelayError("Cannot use --acme-eab-key: it is not base64; copy it again", 2);
  }
  return { kid, key };
}

function admissionOf(values: Values): AdmissionSettings {
  const url = text(values["verify-client-url"]);
  if (url !== undefined && !isHttpUrl(url)) {
    // It may hold a password or a token: it is not repeated.
    throw new RelayError(
      "Cannot use --verify-client-url: not an http or https URL; write https://host/path",
      2,
    );
  }
  const socket = text(values.socket);
  if (socket !== undefined && values["verify-clients"] !== true) {
    throw bad("socket", socket, "it is for --verify-clients only; add that or leave this out");
  }
  return {
    file: text(values["allow-list"]),
    url,
    failOpen: values["verify-client-url-fail-open"] === true,
    tailscaled: values["verify-clients"] === true ? socket ?? TAILSCALED : undefined,
  };
}

function acceptLimitOf(values: Values): Settings["acceptLimit"] {
  const perSecond = rate(values, "accept-connection-limit");
  const burst = rate(values, "accept-connection-burst");
  if (perSecond === undefined) return undefined;
  // The reference relay's own burst is without end, which would make the limit one in name only.
  return { perSecond, burst: Math.max(1, Math.floor(burst ?? Math.ceil(perSecond))) };
}

/** A number of Go's float syntax above zero; undefined for none and for endless. */
function rate(values: Values, name: string): number | undefined {
  const given = text(values[name]);
  if (given === undefined || /^\+?inf(inity)?$/i.test(given)) return undefined;
  const value = /^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(given) ? Number(given) : NaN;
  if (!(value > 0)) throw bad(name, given, "give a number above 0, or +Inf for no limit");
  return value >= Number.MAX_SAFE_INTEGER ? undefined : value;
}
