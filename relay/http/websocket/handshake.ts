/**
 * The WebSocket opening handshake (RFC 6455 section 4.2), server side.
 */
import type { RequestHead } from "../wire/mod.ts";

/** Appended to the client's key before hashing (RFC 6455 section 1.3). */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const VERSION = "13";
const SUBPROTOCOL = "derp";

/** An accepted handshake. */
export interface Handshake {
  /** The 101 head, with its empty line. */
  answer: Uint8Array;
  /** Whether the client named the subprotocol `derp`; else the connection is to be closed 1008. */
  derp: boolean;
}

function refusal(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      "x-content-type-options": "nosniff",
      ...headers,
    },
  });
}

/** Why a request cannot become a WebSocket; undefined when it can. */
function refuse(head: RequestHead): Response | undefined {
  const hint = { "connection": "Upgrade", "upgrade": "websocket" };
  if (head.minor === 0) return refusal(426, "WebSocket needs HTTP/1.1", hint);
  if (!head.tokens("connection").includes("upgrade")) {
    return refusal(426, "WebSocket needs a Connection header with Upgrade", hint);
  }
  if (head.method !== "GET") return refusal(405, "WebSocket needs the method GET");
  const version = head.get("sec-websocket-version");
  if (version !== VERSION) {
    return refusal(400, `WebSocket version is not ${VERSION}`, {
      "sec-websocket-version": VERSION,
    });
  }
  const keys = head.all("sec-websocket-key");
  if (keys.length !== 1) return refusal(400, "WebSocket needs one Sec-WebSocket-Key");
  if (!isKey(keys[0]!)) return refusal(400, "Sec-WebSocket-Key is not 16 bytes of base64");
  return undefined;
}

function isKey(text: string): boolean {
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" }).length === 16;
  } catch {
    return false;
  }
}

/**
 * Answers a request for a WebSocket. Any Origin may ask: a relay has no cookies to steal. No
 * extension is agreed on, so nothing is compressed.
 *
 * @returns the answer to switch with, or an ordinary response that refuses
 */
export async function handshake(head: RequestHead): Promise<Handshake | Response> {
  const refused = refuse(head);
  if (refused !== undefined) return refused;
  const derp = head.tokens("sec-websocket-protocol").includes(SUBPROTOCOL);
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${await acceptValue(head.get("sec-websocket-key")!)}`,
    ...derp ? [`Sec-WebSocket-Protocol: ${SUBPROTOCOL}`] : [],
    "Upgrade: websocket",
    `Date: ${new Date().toUTCString()}`,
  ];
  return { answer: new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n"), derp };
}

/** The proof that this server has read the key (RFC 6455 section 4.2.2). */
async function acceptValue(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(key + GUID));
  return new Uint8Array(digest).toBase64();
}
