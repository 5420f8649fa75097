/**
 * How requests leave: `fetch` with our own trust store, or, for `--insecure-skip-tls-verify`,
 * `node:https`, because `fetch` can skip verification only for the whole process and this flag
 * must not weaken anything but the control plane's client.
 *
 * @module
 */
import https from "node:https";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { systemCaCertificates } from "../platform/mod.ts";

/** What a transport sends. */
interface TransportRequest {
  method: string;
  headers: Record<string, string>;
  body?: string;
  signal: AbortSignal;
}

/** Sends one request; the answer's body streams. Throws whatever the network gives. */
export interface Transport {
  send(url: URL, request: TransportRequest): Promise<Response>;
  close(): void;
}

/** HTTP/1.1 by `fetch`, trusting the system's CAs and the given ones. */
export function verifiedTransport(caCerts: string[]): Transport {
  const client = Deno.createHttpClient({
    caCerts: [...systemCaCertificates(), ...caCerts],
    http1: true,
    http2: false,
    // Calls that follow each other share a connection. An older one may be dead without knowing it:
    // behind a NAT that has forgotten it a call would hang.
    poolIdleTimeout: 1_000,
  });
  return {
    send: (url, { method, headers, body, signal }) =>
      fetch(url, {
        method,
        headers,
        signal,
        client,
        // A redirect would carry the bearer token elsewhere; the API never sends one.
        redirect: "manual",
        ...(body === undefined ? {} : { body }),
      }),
    close: () => client.close(),
  };
}

/** HTTP/1.1 by `node:https` that accepts any certificate. */
export function unverifiedTransport(): Transport {
  return {
    async send(url, { method, headers, body, signal }) {
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      const request = https.request(url, {
        method,
        headers: {
          ...headers,
          ...(body === undefined
            ? {}
            : { "content-length": String(new TextEncoder().encode(body).length) }),
        },
        rejectUnauthorized: false,
        agent: false,
      }, resolve);
      request.on("error", reject);
      const abort = () => request.destroy(signal.reason);
      if (signal.aborted) abort();
      else signal.addEventListener("abort", abort, { once: true });
      request.end(body);
      const message = await promise.catch((error) => {
        signal.removeEventListener("abort", abort);
        throw signal.aborted ? signal.reason : error;
      });
      message.once("close", () => signal.removeEventListener("abort", abort));
      const pairs = Object.entries(message.headers).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, String(value)] as [string, string]]
      );
      const status = message.statusCode ?? 500;
      const empty = status === 204 || status === 304 || status < 200;
      if (empty) message.resume();
      return new Response(empty ? null : Readable.toWeb(message) as ReadableStream<Uint8Array>, {
        status: status < 200 ? 500 : status,
        headers: pairs,
      });
    },
    close: () => {},
  };
}
