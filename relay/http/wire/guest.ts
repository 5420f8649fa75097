/**
 * Another application on the relay's port: the one that the relay's own pages and DERP leave the
 * other requests to. It may read bodies, and answer for hours.
 */
import { getLogger } from "@logtape/logtape";
import type { Socket, Sweep } from "../../server/mod.ts";
import type { Visit } from "../limits/mod.ts";
import { isChunked, writeLongHead, writeResponse } from "./answer.ts";
import { RequestBody } from "./body.ts";
import { writeAll } from "./farewell.ts";
import type { RequestHead } from "./head.ts";
import type { RequestInput } from "./input.ts";
import { HeldAnswer, type Holding } from "./long_body.ts";
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
  /**
   * Answers. A body that fails ends the connection without the end of an answer; a `LongBody` is not
   * read but lets itself be written.
   */
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
 * @returns whether another request may follow; `last`: the connection is to be closed; `held`: the
 *   answer goes on for as long as it likes, and closes the connection itself
 * @throws any error of the connection or of the answer's body
 */
export async function answerByGuest(
  guest: Pick<Guest, "fetch">,
  conn: Deno.Conn,
  head: RequestHead,
  input: RequestInput,
  visit: Visit,
  holding: Holding,
): Promise<"next" | "last" | "held"> {
  const { limits, sweep } = holding;
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
  const source = await writeLongHead(patient, head, response, keep);
  if (source !== undefined) {
    const silent = body.done && input.rest().length === 0;
    new HeldAnswer(conn, source, isChunked(head), holding).begin(silent);
    return "held";
  }
  await writeResponse(patient, head, response, keep, body.done ? input.ended() : undefined);
  if (!keep) return "last";
  const deadline = sweep.deadline(limits.httpIdleMs, () => conn.close());
  return await body.skip().finally(() => deadline.end()) ? "next" : "last";
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
