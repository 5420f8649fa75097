/**
 * The control plane's API as the agent uses it: typed calls, every wait and every body bounded.
 *
 * @module
 */
import type {
  AddDevice,
  Device,
  DeviceMetadata,
  PathReport,
  RegKey,
  RelayRegion,
  UpdateDevice,
  User,
  Vpc,
  Watch,
} from "../../control/api/types.ts";
import { cleanText } from "../errors.ts";
import { chunksOf } from "./body.ts";
import type { Api, LoginStart } from "./calls.ts";
import { ApiFailure, networkFailure } from "./failure.ts";
import { type Transport, unverifiedTransport, verifiedTransport } from "./transport.ts";
import {
  isObject,
  parseDevice,
  parseMetadata,
  parseRegKey,
  parseRelayRegion,
  parseUser,
  parseVpc,
} from "./wire.ts";

/** Largest answer to a plain call, bytes. */
const MAX_BODY = 1 << 20, MAX_LIST = 32 << 20;
/** How long a plain call may take, and how long the stream's headers may, ms (the API's own figure). */
const CALL_TIMEOUT = 30_000;

/** Fields of an error body that are kept. */
const DETAILS = ["error", "id", "field", "reason", "resource", "trace_id"] as const;

/** How to reach the API. */
interface ApiClientOptions {
  /** The API host, `https://api.<service host>[:port]`. */
  apiUrl: URL;
  /** PEM texts trusted beside the system's. */
  caCerts?: string[];
  /** Accept any certificate, for this client only. */
  insecureSkipTlsVerify?: boolean;
  /** Version for the User-Agent. */
  version?: string;
  /** Limit of a plain call, ms. */
  timeoutMs?: number;
  /** Another transport, for tests. */
  transport?: Transport;
}

const ARCH: Record<string, string> = { x86_64: "amd64", aarch64: "arm64" };

/** The API over HTTPS/1.1. All methods throw {@link ApiFailure}. */
export class ApiClient implements Api {
  readonly #url: URL;
  readonly #transport: Transport;
  readonly #timeout: number;
  readonly #agent: string;

  constructor(options: ApiClientOptions) {
    this.#url = options.apiUrl;
    this.#timeout = options.timeoutMs ?? CALL_TIMEOUT;
    this.#agent = `nexd/${options.version ?? "dev"} (${Deno.build.os}; ${
      ARCH[Deno.build.arch] ?? Deno.build.arch
    })`;
    this.#transport = options.transport ??
      (options.insecureSkipTlsVerify
        ? unverifiedTransport()
        : verifiedTransport(options.caCerts ?? []));
  }

  getRegKey(token: string, signal?: AbortSignal): Promise<RegKey> {
    return this.#call("GET", "/api/reg-keys/me", token, { signal, parse: parseRegKey });
  }

  getVpc(token: string, id: string, signal?: AbortSignal): Promise<Vpc> {
    return this.#call("GET", `/api/vpcs/${encodeURIComponent(id)}`, token, {
      signal,
      parse: parseVpc,
    });
  }

  getUser(token: string, signal?: AbortSignal): Promise<User> {
    return this.#call("GET", "/api/users/me", token, { signal, parse: parseUser });
  }

  deleteDevice(token: string, id: string, signal?: AbortSignal): Promise<Device> {
    const path = `/api/devices/${encodeURIComponent(id)}`;
    return this.#call("DELETE", path, token, { signal, parse: parseDevice });
  }

  startLogin(signal?: AbortSignal): Promise<LoginStart> {
    return this.#call("POST", "/device/login/start", undefined, {
      signal,
      parse: (value) => isObject(value) ? value as LoginStart : undefined,
    });
  }

  /**
   * Any other call of the API, for tools: what was answered, as it is.
   *
   * @param path with its query, each part encoded
   * @param body JSON text
   * @returns the text of a 2xx answer, at most 32 MiB; empty where there is none
   */
  async ask(
    method: string,
    path: string,
    { token, body, signal }: { token?: string; body?: string; signal?: AbortSignal } = {},
  ): Promise<string> {
    const url = new URL(path, this.#url);
    const limited = this.#limited(signal);
    const response = await this.#send(url, method, token, body, limited);
    if (!response.ok) throw await this.#refusal(response, method, url, limited);
    return await readBounded(response, url, limited, MAX_LIST);
  }

  async request(
    url: URL,
    options: { form?: Record<string, string>; signal?: AbortSignal | undefined },
  ): Promise<{ status: number; body: unknown }> {
    const signal = this.#limited(options.signal);
    const { form } = options;
    let response: Response;
    try {
      response = await this.#transport.send(url, {
        method: form === undefined ? "GET" : "POST",
        signal,
        headers: {
          accept: "application/json",
          "user-agent": this.#agent,
          ...(form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
        },
        ...(form === undefined ? {} : { body: new URLSearchParams(form).toString() }),
      });
    } catch (error) {
      throw networkFailure(signal.aborted ? signal.reason : error, url);
    }
    const text = await readBounded(response, url, signal);
    try {
      return { status: response.status, body: JSON.parse(text) };
    } catch {
      return { status: response.status, body: undefined };
    }
  }

  listDevices(token: string, vpcId: string, signal?: AbortSignal): Promise<Device[]> {
    return this.#call("GET", `/api/vpcs/${encodeURIComponent(vpcId)}/devices`, token, {
      signal,
      limit: MAX_LIST,
      parse: (value) => rows(value, parseDevice),
    });
  }

  listRelayRegions(token: string, signal?: AbortSignal): Promise<RelayRegion[]> {
    return this.#call("GET", "/api/relay-regions", token, {
      signal,
      parse: (value) => rows(value, parseRelayRegion),
    });
  }

  createDevice(token: string, body: AddDevice, signal?: AbortSignal): Promise<Device> {
    return this.#call("POST", "/api/devices", token, { signal, body, parse: parseDevice });
  }

  updateDevice(
    token: string,
    id: string,
    body: UpdateDevice,
    signal?: AbortSignal,
  ): Promise<Device> {
    const path = `/api/devices/${encodeURIComponent(id)}`;
    return this.#call("PATCH", path, token, { signal, body, parse: parseDevice });
  }

  putMetadata(
    token: string,
    id: string,
    key: string,
    value: Record<string, unknown>,
    signal?: AbortSignal,
  ): Promise<DeviceMetadata> {
    const path = `/api/devices/${encodeURIComponent(id)}/metadata/${encodeURIComponent(key)}`;
    return this.#call("PUT", path, token, { signal, body: value, parse: parseMetadata });
  }

  async tellPaths(
    token: string,
    id: string,
    report: PathReport,
    signal: AbortSignal,
  ): Promise<void> {
    const path = `/api/devices/${encodeURIComponent(id)}/paths`;
    await this.ask("PUT", path, { token, body: JSON.stringify(report), signal });
  }

  async openWatch(
    token: string,
    watches: Watch[],
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    const url = new URL("/api/events", this.#url);
    const head = new AbortController();
    const timer = setTimeout(
      () => head.abort(new DOMException("no answer", "TimeoutError")),
      this.#timeout,
    );
    try {
      const limited = AbortSignal.any([signal, head.signal]);
      const response = await this.#send(url, "POST", token, JSON.stringify(watches), limited);
      if (response.status !== 200 || response.body === null) {
        throw await this.#refusal(response, "POST", url, limited);
      }
      return response.body;
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#transport.close();
  }

  /** Ends when `signal` does, and when a plain call has taken too long. */
  #limited(signal: AbortSignal | undefined): AbortSignal {
    const limit = AbortSignal.timeout(this.#timeout);
    return signal === undefined ? limit : AbortSignal.any([signal, limit]);
  }

  async #send(
    url: URL,
    method: string,
    token: string | undefined,
    body: string | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    try {
      return await this.#transport.send(url, {
        method,
        signal,
        headers: {
          accept: "application/json",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          "user-agent": this.#agent,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: `${body}\n` }),
      });
    } catch (error) {
      throw networkFailure(signal.aborted ? signal.reason : error, url);
    }
  }

  async #call<T>(
    method: string,
    path: string,
    token: string | undefined,
    options: {
      signal: AbortSignal | undefined;
      body?: unknown;
      parse: (value: unknown) => T | undefined;
      /** Longest answer, bytes. */
      limit?: number;
    },
  ): Promise<T> {
    const url = new URL(path, this.#url);
    const signal = this.#limited(options.signal);
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    const response = await this.#send(url, method, token, body, signal);
    if (response.status !== 200 && response.status !== 201) {
      throw await this.#refusal(response, method, url, signal);
    }
    const text = await readBounded(response, url, signal, options.limit);
    let value: T | undefined;
    try {
      value = options.parse(JSON.parse(text));
    } catch {
      value = undefined;
    }
    if (value === undefined) {
      throw new ApiFailure(
        `Cannot use the answer of ${url.host} to ${method} ${path}: it is not the API of a control plane; ` +
          "check the service URL",
        { kind: "protocol" },
      );
    }
    return value;
  }

  async #refusal(
    response: Response,
    method: string,
    url: URL,
    signal: AbortSignal,
  ): Promise<ApiFailure> {
    const detail: ApiFailure["detail"] = {};
    const text = await readBounded(response, url, signal).catch(() => "");
    try {
      const body: unknown = JSON.parse(text);
      if (isObject(body)) {
        for (const name of DETAILS) {
          const value = body[name];
          if (typeof value === "string") detail[name] = cleanText(value, 200);
        }
      }
    } catch { /* an error body may be empty, plain text, or two documents */ }
    const after = Number(response.headers.get("retry-after"));
    const said = detail.error === undefined ? "" : ` (${detail.error})`;
    return new ApiFailure(
      `The control plane at ${url.host} answered ${response.status}${said} to ${method} ${url.pathname}`,
      {
        kind: "status",
        status: response.status,
        detail,
        ...(Number.isFinite(after) && after > 0 ? { retryAfter: Math.min(after, 300) } : {}),
      },
    );
  }
}

/** The entries of a list that can be read; undefined when it is none. */
function rows<T>(value: unknown, parse: (item: unknown) => T | undefined): T[] | undefined {
  return Array.isArray(value) ? value.map(parse).filter((row) => row !== undefined) : undefined;
}

/** Reads a body as text, at most `limit` bytes. */
async function readBounded(
  response: Response,
  url: URL,
  signal: AbortSignal,
  limit = MAX_BODY,
): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "", size = 0;
  try {
    for await (const chunk of chunksOf(response.body, signal)) {
      size += chunk.length;
      if (size > limit) {
        throw new ApiFailure(`The answer of ${url.host} is larger than ${limit} bytes`, {
          kind: "protocol",
        });
      }
      text += decoder.decode(chunk, { stream: true });
    }
  } catch (error) {
    throw networkFailure(error, url);
  }
  return text + decoder.decode();
}
