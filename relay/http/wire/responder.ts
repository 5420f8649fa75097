/**
 * Ordinary requests: from a head to the application and back onto the connection.
 *
 * The relay reads HTTP itself rather than handing streams to a second server: so there is only one
 * opinion about where a request ends, the upgrade to DERP may come as a later request of a kept
 * connection, and the application sees the client's own address.
 */
import { getLogger } from "@logtape/logtape";
import type { Limits, Sweep } from "../../server/mod.ts";
import { writeResponse } from "./answer.ts";
import { close } from "./farewell.ts";
import type { RequestHead } from "./head.ts";
import { RequestBody } from "./body.ts";
import type { RequestInput } from "./input.ts";
import { plain, requestOf, unspeakableOf } from "./request.ts";

const logger = getLogger(["nexd", "relay"]);

/** The side of an application that this needs. */
export interface Fetcher {
  fetch(request: Request, env: { remoteAddress: string }): Response | Promise<Response>;
}

export class Responder {
  readonly #app: Fetcher;
  readonly #limits: Limits;
  readonly #sweep: Sweep;
  /** Connections that speak HTTP, and whether each one is between two requests. */
  readonly #idle = new Map<Deno.Conn, boolean>();

  constructor(app: Fetcher, limits: Limits, sweep: Sweep) {
    this.#app = app;
    this.#limits = limits;
    this.#sweep = sweep;
  }

  /** Connections that speak HTTP now. */
  get size(): number {
    return this.#idle.size;
  }

  /**
   * Takes a connection on, in place of the longest idle one when there are too many. False when
   * all of them are busy.
   */
  enter(conn: Deno.Conn): boolean {
    if (this.#idle.size >= this.#limits.httpConnections) {
      const [longest] = [...this.#idle].find(([, idle]) => idle) ?? [];
      if (longest === undefined) return false;
      this.#idle.delete(longest);
      close(longest);
    }
    this.#idle.set(conn, false);
    return true;
  }

  /** The connection has ended or become something else. */
  leave(conn: Deno.Conn): void {
    this.#idle.delete(conn);
  }

  /**
   * Answers one request and reads past its body.
   *
   * @param response the answer, when it is not the application's to give
   * @returns whether another request may follow; if not, the connection is to be closed
   * @throws any error of the connection
   */
  async answer(
    conn: Deno.Conn,
    head: RequestHead,
    input: RequestInput,
    remoteAddress: string,
    response?: Response,
  ): Promise<boolean> {
    this.#idle.set(conn, false);
    // For all of it: an answer that is not taken in this time is not wanted.
    const deadline = this.#sweep.deadline(this.#limits.httpIdleMs, () => conn.close());
    try {
      response ??= await this.#respond(head, remoteAddress);
      // A client that waits for leave to send its body may send it or not: nobody can tell.
      const unsure = head.get("expect") !== undefined && head.framing.kind !== "none";
      const keep = !head.last && !unsure &&
        response.headers.get("connection")?.toLowerCase() !== "close";
      await writeResponse(conn, head, response, keep);
      return keep && await new RequestBody(input, head.framing).skip();
    } finally {
      deadline.end();
      // To the end of the line: the others have been idle for longer.
      if (this.#idle.delete(conn)) this.#idle.set(conn, true);
    }
  }

  async #respond(head: RequestHead, remoteAddress: string): Promise<Response> {
    const unspeakable = unspeakableOf(head);
    if (unspeakable !== undefined) return unspeakable;
    const clean = cleanTarget(head.target);
    // A backslash is a slash to browsers, and two slashes would be another host.
    if (clean !== head.target) return redirect(head, clean.replaceAll("\\", "%5C"));
    const request = requestOf(head, "http");
    if (request instanceof Response) return request;
    try {
      return await this.#app.fetch(request, { remoteAddress });
    } catch (error) {
      logger.warn("Cannot answer {path}: {error}", { path: head.path, error: String(error) });
      return plain(500, "internal error");
    }
  }
}

/**
 * A target without empty and dot segments, as its sender may have spelled them; the query and a
 * slash at the end stay.
 */
function cleanTarget(target: string): string {
  const end = (target + "?").indexOf("?");
  const path = target.slice(0, end);
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    const plainly = segment.replace(/%2e/gi, ".");
    if (plainly === "..") segments.pop();
    else if (plainly !== "" && plainly !== ".") segments.push(segment);
  }
  const slash = segments.length > 0 && path.endsWith("/") ? "/" : "";
  return `/${segments.join("/")}${slash}${target.slice(end)}`;
}

function redirect(head: RequestHead, location: string): Response {
  if (head.method !== "GET" && head.method !== "HEAD") {
    return new Response(null, { status: 307, headers: { location } });
  }
  const shown = location.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  return new Response(`<a href="${shown}">Temporary Redirect</a>.\n\n`, {
    status: 307,
    headers: { location, "content-type": "text/html; charset=utf-8" },
  });
}
