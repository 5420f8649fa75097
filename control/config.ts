import { parseHostPort } from "../relay/net/mod.ts";
import { type AuditLimits, DEFAULT_AUDIT_LIMITS } from "./audit/mod.ts";
import { ControlError } from "./errors.ts";
import { Proxies } from "./http/mod.ts";
import type { OidcFlags } from "./oidc/mod.ts";
import { checkPostgresUrl } from "./store/mod.ts";

/** Values of the flags in `CONTROL_OPTIONS`, by name. */
export type ControlValues = Record<string, string | number | boolean | string[] | undefined>;

/** The flags, checked. */
export interface ControlSettings {
  hostname: string;
  /** An empty hostname is every address. */
  addr: { hostname: string; port: number };
  stateDir: string;
  /** Of PostgreSQL; without it the database is a file in the state directory. */
  databaseUrl?: string;
  certMode: "manual" | "selfsigned";
  certDir: string;
  admin: { username: string; password?: string };
  /** Whose word on who asks is taken. */
  proxies: Proxies;
  /** Where clients connect, if that is another port than that of `addr`. */
  publicPort?: number;
  /** Requests a second of one credential; 0: no limit. */
  rateLimit: number;
  /** Origins whose pages may use the API. */
  corsOrigins: string[];
  /** Another issuer in the place of our own. */
  oidc?: OidcFlags;
  /** How much of the audit log is kept. */
  audit: AuditLimits;
}

/** Checks the flags; ControlError or AddressError, exit code 2, for one that cannot be used. */
export function settings(values: ControlValues): ControlSettings {
  const stateDir = text(values, "state-dir") ?? defaultStateDir();
  const password = text(values, "admin-password");
  const username = text(values, "admin-username") ?? "admin";
  if (!/^[\w.@+-]{1,64}$/.test(username)) {
    throw usage(`--admin-username ${username}: use 1 to 64 letters, digits and . _ @ + -`);
  }
  if (password !== undefined && password.length > 256) {
    throw usage("--admin-password: use at most 256 characters");
  }
  const databaseUrl = text(values, "database-url");
  if (databaseUrl !== undefined) checkPostgresUrl(databaseUrl);
  return {
    hostname: hostname(text(values, "hostname")),
    addr: parseHostPort(text(values, "addr") ?? ":443", 443),
    stateDir,
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
    certMode: certMode(text(values, "certmode") ?? "selfsigned"),
    certDir: text(values, "certdir") ?? `${stateDir}/certs`,
    admin: { username, ...(password === undefined ? {} : { password }) },
    proxies: proxies(values["trusted-proxies"]),
    ...publicPort(text(values, "public-port")),
    rateLimit: rateLimit(text(values, "rate-limit") ?? "500"),
    corsOrigins: origins(values["cors-origin"]),
    ...oidc(values),
    audit: auditLimits(values),
  };
}

function oidc(values: ControlValues): Pick<ControlSettings, "oidc"> {
  const issuer = text(values, "oidc-issuer");
  const operators = [values["oidc-operator"] ?? []].flat().map(String);
  const caFile = text(values, "oidc-ca");
  if (issuer === undefined) {
    for (
      const name of ["oidc-web-client-id", "oidc-operator", "oidc-ca", "oidc-client-secret-file"]
    ) {
      const value = values[name];
      if (value === undefined || value.toString() === "") continue;
      throw usage(
        `--${name} means nothing without --oidc-issuer; add that, or leave it out`,
      );
    }
    return {};
  }
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
  const odd = url === undefined || url.protocol !== "https:" ||
    url.username !== "" ||
    url.search !== "" || url.hash !== "" || /[?#]/.test(issuer);
  if (odd) {
    throw usage(
      `--oidc-issuer ${issuer}: use an https URL as the issuer writes it, like ` +
        "https://auth.example/realms/nexodus",
    );
  }
  const clientId = text(values, "oidc-client-id") ?? "nexodus-cli";
  const webClientId = text(values, "oidc-web-client-id") ?? clientId;
  const secretFile = text(values, "oidc-client-secret-file");
  if (secretFile !== undefined && webClientId === clientId) {
    throw usage(
      `--oidc-client-secret-file ${secretFile}: agents are the client ${clientId} too, and can keep ` +
        "no secret; name another client with --oidc-web-client-id",
    );
  }
  return {
    oidc: {
      ...{ issuer, clientId, operators },
      webClientId,
      audience: text(values, "oidc-audience") ?? "account",
      ...(caFile === undefined ? {} : { caFile }),
      ...(secretFile === undefined ? {} : { secretFile }),
    },
  };
}

function hostname(given: string | undefined): string {
  if (given === undefined) {
    throw usage(
      "--hostname is missing: name the host that agents connect to, like control.example",
    );
  }
  const name = given.toLowerCase().replace(/\.$/, "");
  const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
  // Agents put `api.` before the name, so an address will not do.
  if (name.length > 240 || !name.split(".").every((part) => label.test(part))) {
    throw usage(`--hostname ${given}: use a DNS name, like control.example`);
  }
  if (/^[\d.]+$/.test(name)) {
    throw usage(`--hostname ${given}: use a DNS name, as agents connect to api.HOST`);
  }
  return name;
}

function rateLimit(given: string): number {
  if (given === "off") return 0;
  if (/^[1-9]\d{0,5}$/.test(given)) return Number(given);
  throw usage(`--rate-limit ${given}: use a number of requests a second, or off`);
}

function proxies(given: ControlValues[string]): Proxies {
  try {
    return new Proxies(Array.isArray(given) ? given : []);
  } catch (error) {
    const { message } = error as TypeError;
    throw usage(`--trusted-proxies ${message}: use an address or a network, like 10.0.0.0/8`);
  }
}

function publicPort(given: string | undefined): { publicPort?: number } {
  if (given === undefined) return {};
  const port = /^\d{1,5}$/.test(given) ? Number(given) : 0;
  if (port < 1 || port > 65535) throw usage(`--public-port ${given}: use a port, 1 to 65535`);
  return { publicPort: port };
}

function auditLimits(values: ControlValues): AuditLimits {
  const days = text(values, "audit-days") ?? "365", rows = text(values, "audit-rows") ?? "100000";
  if (days !== "off" && !/^[1-9]\d{0,4}$/.test(days)) {
    throw usage(`--audit-days ${days}: use a number of days, or off`);
  }
  if (!/^[1-9]\d{1,7}$/.test(rows)) {
    throw usage(`--audit-rows ${rows}: use a number of entries, 10 or more`);
  }
  return { ...DEFAULT_AUDIT_LIMITS, days: days === "off" ? 0 : Number(days), rows: Number(rows) };
}

function origins(given: ControlValues[string]): string[] {
  return (Array.isArray(given) ? given : []).map((text) => {
    // What a browser sends: scheme, name, and a port that is not the scheme's own.
    if (URL.canParse(text) && new URL(text).origin === text && /^https?:/.test(text)) return text;
    throw usage(`--cors-origin ${text}: use an origin, like https://dash.example`);
  });
}

function certMode(mode: string): "manual" | "selfsigned" {
  if (mode === "manual" || mode === "selfsigned") return mode;
  throw usage(`--certmode ${mode}: use manual or selfsigned`);
}

/** Told by HOME, as asking for the user id needs a permission that nothing else here does. */
function defaultStateDir(): string {
  const home = Deno.env.get(Deno.build.os === "windows" ? "USERPROFILE" : "HOME");
  return home === undefined || home === "" || home === "/root"
    ? "/var/lib/nexd/control"
    : `${home}/.nexodus/control`;
}

function text(values: ControlValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function usage(message: string): ControlError {
  return new ControlError(message, { exitCode: 2 });
}
