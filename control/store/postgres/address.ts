import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { reasonOf } from "../../../relay/cert/mod.ts";
import { ControlError } from "../../errors.ts";

/** Where a PostgreSQL database is and how to get in. */
export interface PostgresAddress {
  /** Host name, IP address, or the directory of a unix socket. */
  host: string;
  port: number;
  user: string | undefined;
  password: string | undefined;
  database: string;
  /** `false`: in clear, as over a unix socket. */
  ssl: false | ConnectionOptions;
  applicationName: string;
  connectTimeoutMs: number;
  /** The URL without its password, for messages. */
  shown: string;
}

/** Where Debian's PostgreSQL has its socket. */
const SOCKETS = "/var/run/postgresql";

const OPTIONS = [
  ...["host", "port", "user", "password", "dbname", "application_name", "connect_timeout"],
  ...["sslmode", "sslrootcert", "sslcert", "sslkey"],
];

/** Whether a text is meant as the URL of a PostgreSQL database. */
export function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:/i.test(text);
}

/**
 * Reads a connection URL as libpq writes them: `postgres://user:password@host:port/database?option=…`,
 * with a socket's directory as `?host=/run/postgresql` or, encoded, in place of the host. Options are
 * those of {@linkcode OPTIONS}.
 *
 * Without `sslmode`, a unix socket and this very host are spoken to in clear, every other host with
 * TLS and its name checked: libpq's `prefer` would send the password to whoever answers.
 *
 * ControlError, exit code 2, which never tells the password.
 */
export function parsePostgresUrl(text: string): PostgresAddress {
  const match =
    /^postgres(?:ql)?:\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?(\[[^\]]*\]|[^:/?#]*)(?::(\d*))?(?:\/([^?#]*))?(?:\?([^#]*))?$/i
      .exec(text);
  if (!match) {
    throw usage("cannot be read; write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE");
  }
  const [user, password, host, port, database] = match.slice(1, 6).map((part) =>
    part === undefined || part === "" ? undefined : decoded(part)
  );
  const options = new URLSearchParams(match[6] ?? "");
  const unknown = [...options.keys()].find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) {
    throw usage(`has the option ${unknown.slice(0, 40)}; use one of ${OPTIONS.join(", ")}`);
  }
  const option = (name: string) => options.get(name) || undefined;
  const where = (option("host") ?? host ?? SOCKETS).replace(/^\[(.*)\]$/, "$1");
  if (where.includes(",")) throw usage("names several hosts; name one");
  const name = option("user") ?? user ?? environment("PGUSER") ?? environment("USER");
  const to = option("dbname") ?? database ?? name;
  if (to === undefined) throw usage("names no database; add it after the host, like /nexd");
  const number = Number(option("port") ?? port ?? 5432);
  if (!Number.isInteger(number) || number < 1 || number > 65535) {
    throw usage("has a port that is none; use 1 to 65535");
  }
  const seconds = Number(option("connect_timeout") ?? 5);
  if (!(seconds > 0 && seconds <= 600)) throw usage("has a connect_timeout that is not 1 to 600");
  return {
    host: where,
    port: number,
    user: name,
    password: option("password") ?? password ?? environment("PGPASSWORD"),
    database: to,
    ssl: tls(where, option),
    applicationName: option("application_name") ?? "nexd control",
    connectTimeoutMs: seconds * 1000,
    shown: `postgres://${name === undefined ? "" : `${name}@`}${
      where.includes(":") ? `[${where}]` : where
    }:${number}/${to}`,
  };
}

function tls(
  host: string,
  option: (name: string) => string | undefined,
): false | ConnectionOptions {
  const here = host.startsWith("/") || host === "localhost" || host === "::1" ||
    host.startsWith("127.");
  const mode = option("sslmode") ?? (here ? "disable" : "verify-full");
  if (host.startsWith("/") || mode === "disable") return false;
  const root = option("sslrootcert"), cert = option("sslcert"), key = option("sslkey");
  const common = {
    ...(root === undefined || root === "system" ? {} : { ca: file("sslrootcert", root) }),
    ...(cert === undefined ? {} : { cert: file("sslcert", cert) }),
    ...(key === undefined ? {} : { key: file("sslkey", key) }),
  };
  switch (mode) {
    case "verify-full":
      return common;
    case "verify-ca":
      return { ...common, checkServerIdentity: () => undefined };
    case "require":
      // As libpq has it: with a CA at hand the certificate is checked, if not the name in it.
      return root === undefined
        ? { ...common, rejectUnauthorized: false }
        : { ...common, checkServerIdentity: () => undefined };
  }
  throw usage(
    `has sslmode=${mode.slice(0, 20)}; use disable, require, verify-ca or verify-full`,
  );
}

function file(option: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw usage(`has ${option}=${path}, which cannot be read: ${reasonOf(error)}`);
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw usage("has a % that encodes nothing; write a real one as %25");
  }
}

function environment(name: string): string | undefined {
  try {
    return Deno.env.get(name) || undefined;
  } catch {
    return undefined; // not permitted: then it is not there
  }
}

function usage(what: string): ControlError {
  return new ControlError(`--database-url ${what}`, { exitCode: 2 });
}
