/**
 * `--reg-key` and `--service-url`: where the control plane is and which key lets this host in.
 *
 * @module
 */
import { usageError } from "../errors.ts";

/** The service used when nobody names one. */
const DEFAULT_SERVICE_URL = "https://try.nexodus.io";

/** Where to register, and with what. */
export interface JoinTarget {
  /** As the user knows it, `https://host[:port]`. */
  serviceUrl: URL;
  /** Where requests go, `https://api.host[:port]`. */
  apiUrl: URL;
  /** The registration key, `RK:…`. A secret. */
  token: string;
}

/**
 * Reads the two forms of a registration key: `https://host#RK:…`, or `RK:…` with the service URL
 * (or the default).
 *
 * @throws {AgentError} exit code 2, naming the flag to correct; never with the key in the text
 */
export function parseJoin(regKey: string | undefined, serviceUrl: string | undefined): JoinTarget {
  if (regKey === undefined || regKey === "") {
    throw usageError(
      "A registration key is missing: pass --reg-key https://host#RK:… (or set NEXD_REG_KEY)",
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
  return { serviceUrl: service, apiUrl: apiUrlOf(service), token };
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
