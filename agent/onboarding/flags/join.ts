/**
 * `--service-url`, `--reg-key`, `--username`: where the control plane is and what lets this host in.
 *
 * @module
 */
import { usageError } from "../../errors.ts";

/** The service used when nobody names one. */
const DEFAULT_SERVICE_URL = "https://try.nexodus.io";

/** How this host proves that it may join. Every text in it but the user name is a secret. */
export type Credential =
  /** A registration key, `RK:…`. */
  | { kind: "reg-key"; token: string }
  /** A user; the password is asked for when it is left out. */
  | { kind: "password"; username: string; password?: string }
  /** A person confirms a code on another machine. */
  | { kind: "device" };

/** Where to register, and with what. */
export interface JoinTarget {
  /** As the user knows it, `https://host[:port]`. */
  serviceUrl: URL;
  /** Where requests go, `https://api.host[:port]`. */
  apiUrl: URL;
  credential: Credential;
}

/** What the flags say about it, as they are written. */
interface JoinFlags {
  /** `https://host#RK:…`, or `RK:…` with the service URL. */
  regKey?: string | undefined;
  serviceUrl?: string | undefined;
  username?: string | undefined;
  password?: string | undefined;
}

/** The longest user name and password that are sent, in UTF-16 units. */
const MAX_USERNAME = 255, MAX_PASSWORD = 1024;

/**
 * Where to register and with what: a registration key, else a user, else a code to be confirmed.
 *
 * @throws {AgentError} exit code 2, naming the flag to correct; never with a secret in the text
 */
export function parseJoin({ regKey, serviceUrl, username, password }: JoinFlags): JoinTarget {
  if (regKey === undefined) {
    const service = parseServiceUrl(serviceUrl ?? DEFAULT_SERVICE_URL);
    const credential = userCredential(username, password);
    return { serviceUrl: service, apiUrl: apiUrlOf(service), credential };
  }
  if (username !== undefined || password !== undefined) {
    throw usageError(
      "A registration key signs in without a user: leave out --username and --password " +
        "(and NEXD_USERNAME, NEXD_PASSWORD), or --reg-key (and NEXD_REG_KEY)",
    );
  }
  const hash = regKey.indexOf("#");
  const token = (hash < 0 ? regKey : regKey.slice(hash + 1)).trim();
  if (hash >= 0 && serviceUrl !== undefined) {
    throw usageError(
      "The registration key names its service URL: leave out --service-url (and NEXD_SERVICE_URL)",
    );
  }
  if (!/^RK:[\x21-\x7e]{1,256}$/.test(token)) {
    throw usageError(
      "The registration key does not have the form RK:… or https://host#RK:…; copy it whole, in quotes",
    );
  }
  const service = parseServiceUrl(
    hash >= 0 ? regKey.slice(0, hash) : serviceUrl ?? DEFAULT_SERVICE_URL,
  );
  const credential: Credential = { kind: "reg-key", token };
  return { serviceUrl: service, apiUrl: apiUrlOf(service), credential };
}

function userCredential(username: string | undefined, password: string | undefined): Credential {
  if (username === undefined) {
    if (password === undefined) return { kind: "device" };
    throw usageError(
      "A password was given and no user: add --username NAME (or set NEXD_USERNAME)",
    );
  }
  // deno-lint-ignore no-control-regex
  if (username.length > MAX_USERNAME || /[\x00-\x1f\x7f]/.test(username)) {
    throw usageError(
      `--username takes at most ${MAX_USERNAME} characters and no control characters; check it`,
    );
  }
  if (password !== undefined && password.length > MAX_PASSWORD) {
    throw usageError(`--password takes at most ${MAX_PASSWORD} characters; check it`);
  }
  return { kind: "password", username, ...(password === undefined ? {} : { password }) };
}

function parseServiceUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    throw usageError(
      `The service URL "${text}" is not a URL; write https://host or https://host:port`,
    );
  }
  if (url.protocol !== "https:") {
    throw usageError(
      `The service URL ${url.protocol}//${url.host} is not https; write https://${url.host}`,
    );
  }
  return new URL(`https://${url.host}/`);
}

/**
 * The API's URL: the host with `api.` before it, the port kept, the path cleared. An IP address
 * has no subdomains and stays as it is.
 */
function apiUrlOf(service: URL): URL {
  const isAddress = service.hostname.startsWith("[") ||
    /^\d+\.\d+\.\d+\.\d+$/.test(service.hostname);
  return new URL(`https://${isAddress ? "" : "api."}${service.host}/`);
}
