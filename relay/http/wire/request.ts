/** From a head to the Request that an application gets, or the answer that it never hears of. */
import type { RequestHead } from "./head.ts";

/** Methods that a Request object cannot have. */
const UNSPEAKABLE = /^(CONNECT|TRACE|TRACK)$/i;

const PLAIN = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };

/** A short answer in plain text, as programs get it. */
export function plain(status: number, text: string): Response {
  return new Response(`${text}\n`, { status, headers: PLAIN });
}

/** The answer to what no application can be asked. */
export function unspeakableOf(head: RequestHead): Response | undefined {
  if (head.method === "CONNECT") return plain(403, "CONNECT not enabled");
  if (UNSPEAKABLE.test(head.method)) return plain(405, "method not allowed");
  return head.target === "*" ? new Response(null) : undefined;
}

/** The request of a head; the answer when the head names no URL. */
export function requestOf(
  head: RequestHead,
  scheme: "http" | "https",
  body?: ReadableStream<Uint8Array>,
): Request | Response {
  try {
    const host = head.get("host") || "localhost";
    return new Request(`${scheme}://${host}${head.target.replaceAll("\\", "%5C")}`, {
      method: head.method,
      headers: head.fields.map(([name, value]): [string, string] => [name, value]),
      ...(body === undefined ? {} : { body }),
    });
  } catch {
    return new Response("400 Bad Request", {
      status: 400,
      headers: { ...PLAIN, connection: "close" },
    });
  }
}
