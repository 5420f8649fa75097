/**
 * Another application on the relay's port: the one that the relay's own pages and DERP leave the
 * other requests to. It may read bodies, and answer for hours.
 */
import { getLogger } from "@logtape/logtape";
import type { Limits, Socket, Sweep } from "../../server/mod.ts";
import type { Visit } from "../limits/mod.ts";
import { writeResponse } from "./answer.ts";
import { RequestBody } from "./body.ts";
import { writeAll } from "./farewell.ts";
import type { RequestHead } from "./head.ts";
import type { RequestInput } from "./input.ts";
import { plain, requestOf, unspeakableOf } from "./request.ts";

const logger = getLogger(["nexd", "relay"]);

/** Who asks. */
export interface GuestClient {
  /** IPv4 in its own form. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** It has shown who it is: its connection no longer counts as a stranger's. */
  known(): void;
}

/** The application. */
export interface Guest {
  /**
   * Whether a request is for it. An upgrade to DERP never is.
   *
   * @param host as the client named it, in lower case, without port
   * @param path percent-decoded, without query
   */
  owns(host: string, path: string): boolean;
  /** Answers. A body that fails ends the connection without the end of an answer. */
  fetch(request: Request, client: GuestClient): Response | Promise<Response>;
}

const CONTINUE = new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n");

/** Whether a request is for the guest. */
export function isFor(guest: Guest | undefined, head: RequestHead): guest is Guest {
  if (guest === undefined) return false;
  const host = (head.get("host") ?? "").toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  return guest.owns(host, head.path);
}

/**
 * Has the guest answer one request, and reads past its body.
 *
 * @returns whether another request may follow; if not, the connection is to be closed
 * @throws any error of the connection or of the answer's body
 */
export async function answerByGuest(
  guest: Pick<Guest, "fetch">,
  conn: Deno.Conn,
  head: RequestHead,
  input: RequestInput,
  visit: Visit,
  { limits, sweep }: { limits: Limits; sweep: Sweep },
): Promise<boolean> {
  const patient = boundedWrites(conn, limits.httpIdleMs, sweep);
  const body = new RequestBody(input, head.framing);
  let waits = head.get("expect")?.toLowerCase() === "100-continue";
  const goOn = async () => {
    if (waits) await writeAll(patient, CONTINUE);
    waits = false;
  };
  const response = await respond(guest, head, body, goOn, visit);
  // One that still waits for leave to send its body may send it or not: nobody can tell.
  const keep = !head.last && !(waits && !body.done) &&
    response.headers.get("connection")?.toLowerCase() !== "close";
  await writeResponse(patient, head, response, keep, body.done ? input.ended() : undefined);
  if (!keep) return false;
  const deadline = sweep.deadline(limits.httpIdleMs, () => conn.close());
  return await body.skip().finally(() => deadline.end());
}

async function respond(
  guest: Pick<Guest, "fetch">,
  head: RequestHead,
  body: RequestBody,
  before: () => Promise<void>,
  visit: Visit,
): Promise<Response> {
  const bare = body.done || head.method === "GET" || head.method === "HEAD";
  const request = unspeakableOf(head) ??
    requestOf(head, "https", bare ? undefined : body.stream(before));
  if (request instanceof Response) return request;
  try {
    return await guest.fetch(request, {
      remoteAddress: visit.address,
      remotePort: visit.port,
      known: () => visit.finished(),
    });
  } catch (error) {
    logger.error("Cannot answer {path}: {error}", { path: head.path, error: String(error) });
    return plain(500, "internal error");
  }
}

/** A connection whose every write has to be taken within `ms`. */
function boundedWrites(conn: Deno.Conn, ms: number, sweep: Sweep): Socket {
  return {
    read: (buffer) => conn.read(buffer),
    async write(bytes) {
      const deadline = sweep.deadline(ms, () => conn.close());
      try {
        return await conn.write(bytes);
      } finally {
        deadline.end();
      }
    },
    close: () => conn.close(),
  };
}
