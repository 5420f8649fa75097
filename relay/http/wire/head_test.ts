import assert from "node:assert/strict";
import fc from "fast-check";
import { upgradeRequest } from "../../derp/mod.ts";
import { headEnd, HeadError, parseHead, wantsDerp } from "./head.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const parse = (text: string) => parseHead(encode(text));

Deno.test("parseHead reads the reference client's request", () => {
  const head = parseHead(upgradeRequest("relay.test", { fastStart: true, idealNode: "900a" }));
  assert.equal(head.method, "GET");
  assert.equal(head.path, "/derp");
  assert.equal(head.get("derp-fast-start"), "1");
  assert.equal(head.get("ideal-node"), "900a");
  assert.equal(wantsDerp(head), true);
});

Deno.test("wantsDerp takes what the reference relay takes", () => {
  const asks = (lines: string, target = "/derp") =>
    wantsDerp(parse(`GET ${target} HTTP/1.1\r\nHost: a\r\n${lines}\r\n`));
  assert.equal(asks("Upgrade: derp\r\n"), true);
  assert.equal(asks("upgrade:  DeRp \r\n"), true);
  assert.equal(asks("Upgrade: websocket\r\n"), true, "very old clients say so");
  assert.equal(asks("Upgrade: DERP\r\nUpgrade: h2c\r\n"), true, "the first counts");
  assert.equal(asks("Upgrade: DERP\r\n", "/derp?a=b"), true);
  assert.equal(asks("Upgrade: DERP\r\n", "/%64erp"), true);
  assert.equal(asks("Upgrade: DERP\r\n", "https://A/derp"), true);
  assert.equal(asks("Upgrade: websocket\r\nSec-WebSocket-Protocol: derp\r\n"), false);
  assert.equal(asks("Upgrade: websocket, derp\r\n"), false);
  assert.equal(asks("Upgrade: derp/1\r\n"), false);
  assert.equal(asks("Connection: Upgrade\r\n"), false);
  assert.equal(asks("Upgrade: DERP\r\n", "/"), false);
  assert.equal(asks("Upgrade: DERP\r\n", "/derp/"), false);
});

Deno.test("parseHead refuses what servers disagree about", () => {
  const host = "Host: a\r\n";
  const bad: [string, number][] = [
    ["\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: u@b\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400],
    [`GET / HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}X: a\rb\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}X: a\r\n b\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}X: a\r\n\tb\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n ${host}\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}no colon\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}: no name\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}Content-Length: 1, 1\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}Content-Length: +1\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}Content-Length: 0x1\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}Content-Length:\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}Content-Length: 9999999999999999999\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n`, 501],
    [`GET / HTTP/1.1\r\n${host}Transfer-Encoding: chunked, chunked\r\n\r\n`, 501],
    [`GET / HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n`, 501],
    [`GET / HTTP/1.1\r\n${host}Transfer-Encoding: identity\r\n\r\n`, 501],
    [`GET / HTTP/1.1\r\n${host}Transfer-Encoding:\r\n\r\n`, 501],
    [
      `GET / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
      501,
    ],
    ["GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
    [`GET http://b/ HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET ftp://a/ HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET a HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET * HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET /%zz HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET /\x01 HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET /\t HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET  / HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET / HTTP/1.1 \r\n${host}\r\n`, 400],
    [`GET / http/1.1\r\n${host}\r\n`, 400],
    [`GET / HTTP/11\r\n${host}\r\n`, 400],
    ["GET /\r\n\r\n", 400],
    ["G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["PRI * HTTP/2.0\r\n\r\n", 505],
    [`GET / HTTP/0.9\r\n${host}\r\n`, 505],
  ];
  for (const [text, status] of bad) {
    assert.throws(() => parse(text), (e) => e instanceof HeadError && e.status === status, text);
  }
});

Deno.test("parseHead takes what clients may send", () => {
  assert.equal(
    parse("GET / HTTP/1.0\n\n").path,
    "/",
    "1.0 needs no host, and a bare LF is a line end",
  );
  assert.equal(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n").get("host"), "");
  assert.equal(parse("GET HTTP://Relay.Test?q HTTP/1.1\r\nHost: relay.test\r\n\r\n").target, "/?q");
  assert.equal(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").target, "*");
  assert.equal(parse("CONNECT b:22 HTTP/1.1\r\nHost: b:22\r\n\r\n").method, "CONNECT");
  const same = parse(
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
  );
  assert.deepEqual(same.framing, { kind: "length", length: 3 });
  assert.equal(same.last, false);
  const both = parse(
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
  );
  // Read as the reference relay reads it; but the connection ends, as RFC 9112 section 6.3 wants.
  assert.deepEqual(both.framing, { kind: "chunked" });
  assert.equal(both.last, true);
});

Deno.test("headEnd finds the empty line wherever the bytes are cut", () => {
  for (const text of ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost: a\n\n"]) {
    const bytes = encode(text + "rest");
    fc.assert(fc.property(fc.nat(bytes.length), fc.nat(bytes.length), (x, y) => {
      let found: number | undefined;
      let searched = 0;
      for (const end of [Math.min(x, y), Math.max(x, y), bytes.length]) {
        found ??= headEnd(bytes, 0, end, searched);
        if (found !== undefined) assert(found <= end);
        searched = end;
      }
      assert.equal(found, text.length);
    }));
  }
});

Deno.test("parseHead throws nothing but HeadError for any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try {
      parseHead(bytes);
    } catch (error) {
      assert(error instanceof HeadError);
    }
  }));
});

Deno.test("parseHead takes as many headers as anybody sends, and not as many as fit", () => {
  const head = (lines: number) =>
    "GET / HTTP/1.1\r\nHost: a\r\n" +
    Array.from({ length: lines }, (_, i) => `x${i}:\r\n`).join("") + "\r\n";
  assert.equal(parse(head(127)).fields.length, 128);
  assert.throws(() => parse(head(128)), { name: "HeadError", status: 431 });
});
