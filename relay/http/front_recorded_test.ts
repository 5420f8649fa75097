/**
 * Every recorded answer of the reference relay to a request on its TLS listener, asked of ours
 * over a socket: version, status, whether the connection ends, and the headers that programs read.
 */
import assert from "node:assert/strict";
import { loadRecording } from "../../tests/vectors/mod.ts";
import { PlainFront, readAll, readAnswer, readHead } from "./front_testing.ts";

/** Rows that another folder answers for more closely, or that need what this relay is not given. */
const ELSEWHERE: Record<string, string> = {
  "bootstrap-dns": "needs names to resolve; tested with the pages",
  "bootstrap-dns-unpublished": "as above",
  "bootstrap-dns-unknown": "as above",
};

/** Where we answer otherwise, on purpose. */
const OTHERWISE: Record<string, { reason: string; status?: string }> = {
  "no-host": {
    reason: "the reason phrase is the standard's, not a sentence; programs read the number",
    status: "400 Bad Request",
  },
};

/** Headers whose presence and value a program may depend on. */
const COMPARED = [
  "access-control-allow-origin",
  "cache-control",
  "content-type",
  "location",
  "sec-websocket-version",
  "x-tailscale-response",
  "x-content-type-options",
  "x-frame-options",
  "strict-transport-security",
];

/** Of those, the ones that mean something by their absence. */
const EXACT = ["access-control-allow-origin", "sec-websocket-version", "x-tailscale-response"];

function headers(head: string): Record<string, string> {
  const lines = head.trim().split("\r\n").slice(1).map((line) => line.split(/: (.*)/s));
  return Object.fromEntries(lines.map(([name, value]) => [name!.toLowerCase(), value!]));
}

for (const { name, listener, request, response, closedByRelay } of loadRecording().http) {
  if (listener !== "tls" || ELSEWHERE[name] !== undefined) continue;
  Deno.test(`the front answers ${name} as the recorded relay did`, async () => {
    await using setup = new PlainFront();
    using conn = await setup.ask(request);
    const { head } = request.startsWith("HEAD") ? await readHead(conn) : await readAnswer(conn);
    const recorded = response.slice(0, response.indexOf("\r\n\r\n") + 4);
    const [version, ...status] = recorded.split("\r\n")[0]!.split(" ");
    const expected = `${version} ${OTHERWISE[name]?.status ?? status.join(" ")}`;
    assert.equal(head.split("\r\n")[0], expected);
    const ours = headers(head);
    const theirs = headers(recorded);
    for (const compared of COMPARED) {
      if (theirs[compared] === undefined && !EXACT.includes(compared)) continue;
      assert.equal(ours[compared], theirs[compared], compared);
    }
    if (!closedByRelay) {
      // Kept: the next request is answered on it.
      assert.equal(ours["connection"], undefined);
      await conn.write(new TextEncoder().encode("GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"));
      assert.match((await readHead(conn)).head, /^HTTP\/1\.1 200 /);
    } else assert.equal((await readAll(conn)).length, 0, "nothing more, and the end");
  });
}
