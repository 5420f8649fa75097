/**
 * Every recorded answer of the reference relay that is an application's to give, beside ours. What
 * the HTTP reader itself answers (bad heads, WebSocket handshakes) is tested where it is read.
 */
import assert from "node:assert/strict";
import { loadRecording } from "../../../tests/vectors/mod.ts";
import { BootstrapDns, companionApp, relayApp } from "../mod.ts";
import { testState } from "../testing.ts";

/** Answered before an application sees the request, or a request that no application can see. */
const ELSEWHERE: Record<string, string> = {
  "no-host": "the reader of heads",
  "bad-request-line": "the reader of heads",
  "two-lengths": "the reader of heads",
  "unknown-transfer-encoding": "the reader of heads",
  "websocket-bad-version": "the WebSocket handshake",
  "websocket-no-key": "the WebSocket handshake",
  "websocket-post": "the WebSocket handshake",
  "slash-cleaned": "the responder",
  "connect": "a Request object cannot have the method",
};

/** The connection's own business. */
const OF_THE_CONNECTION = ["date", "content-length"];

/** Our pages are our own: of them only the status and the headers are the same. */
const OWN_BODY = ["home", "home-head", "home-post", "unknown-path"];

/** Headers that ours has beyond the recorded ones. */
const MORE: Record<string, Record<string, string>> = {
  // The operator's pages are of the moment, and their address may hold a key.
  "debug-check": { "cache-control": "no-store", "referrer-policy": "no-referrer" },
};

/** `&` and quotes may be written in several ways. */
const unescaped = (text: string) => text.replace(/&#(\d+);/g, (_, n) => String.fromCharCode(n));

const bootstrapDns = BootstrapDns.start({
  published: ["relay.test"],
  unpublished: ["localhost"],
  resolve: (_, type) => type === "A" ? Promise.resolve(["127.0.0.1"]) : Promise.resolve([]),
});
await bootstrapDns.ready;
bootstrapDns.close();
const state = testState({ bootstrapDns });
const apps = { tls: relayApp(state), plain: companionApp(state) };

for (const row of loadRecording().http) {
  if (Object.hasOwn(ELSEWHERE, row.name)) continue;
  Deno.test(`the pages answer as the reference relay when asked for ${row.name}`, async () => {
    const { head, body } = parse(row.response);
    const [line = "", ...fields] = parse(row.request).head;
    const [method = "", path = ""] = line.split(" ");
    const request = new Request(`https://relay.test${path}`, {
      method,
      headers: fields.map(split),
    });
    const answer = await apps[row.listener].fetch(request, { remoteAddress: "127.0.0.1" });
    assert.equal(answer.status, Number(head[0]!.split(" ")[1]));
    const headers = Object.fromEntries(answer.headers);
    for (const name of OF_THE_CONNECTION) delete headers[name];
    const expected = Object.fromEntries(head.slice(1).map(split));
    for (const name of OF_THE_CONNECTION) delete expected[name];
    assert.deepEqual(headers, { ...expected, ...MORE[row.name] });
    const text = await answer.text();
    if (OWN_BODY.includes(row.name)) assert.equal(text === "", method === "HEAD");
    else assert.equal(unescaped(text), unescaped(body));
  });
}

function parse(message: string): { head: string[]; body: string } {
  const end = message.indexOf("\r\n\r\n");
  return { head: message.slice(0, end).split("\r\n"), body: message.slice(end + 4) };
}

function split(field: string): [string, string] {
  const colon = field.indexOf(":");
  return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
}
