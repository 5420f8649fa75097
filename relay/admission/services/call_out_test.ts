import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { CallOut } from "./call_out.ts";
import { answer, newKey, Service } from "../testing.ts";
import { allows, objectEnd } from "./verdict.ts";
import { underLoad } from "../../../scripts/lab/support.ts";

const ALLOW = answer(200, '{"Allow":true}');

/** Opens a call-out for the time of one test. */
function callOut(
  url: string,
  more: { failOpen?: boolean; timeoutMs?: number; atOnce?: number } = {},
) {
  let opened = 0;
  const { failOpen = false, ...limits } = more;
  const out = new CallOut(url, { failOpen, opened: () => opened++, limits });
  return {
    admit: (hex = newKey().hex, address = "192.0.2.7") => out.admit(hex, address),
    describe: () => out.describe(),
    opened: () => opened,
    [Symbol.asyncDispose]: () => out.close(),
  };
}

Deno.test("the call-out sends what derper sends when a client logs in", async () => {
  await using service = new Service(() => ALLOW);
  await using out = callOut(`${service.url}/check?a=b`);
  const key = "bcdb389b094f49ba920f781dc5684737e0fbb0dc702090509d85abff215e7e2c";
  ok(await out.admit(key, "127.0.0.1"));
  // Recorded from derper v1.98.10 run with -verify-client-url.
  const recorded = {
    line: "POST /check?a=b HTTP/1.1",
    length: "110",
    encoding: "gzip",
    type: null,
    body:
      '{"NodePublic":"nodekey:bcdb389b094f49ba920f781dc5684737e0fbb0dc702090509d85abff215e7e2c",' +
      '"Source":"127.0.0.1"}',
  };
  const [{ line, headers, body }] = service.requests as [typeof service.requests[0]];
  deepEqual({
    line,
    length: headers.get("content-length"),
    encoding: headers.get("accept-encoding"),
    type: headers.get("content-type"),
    body,
  }, recorded);
});

Deno.test("the call-out follows redirects as derper does, 307 and 308 with the question", async () => {
  for (
    const [status, method] of [[301, "GET"], [302, "GET"], [303, "GET"], [307, "POST"], [
      308,
      "POST",
    ]]
  ) {
    await using service = new Service(({ line }) =>
      line.includes("/next") ? ALLOW : answer(Number(status), "", { location: "/next?x=1" })
    );
    await using out = callOut(service.url);
    ok(await out.admit());
    const [first, second] = service.requests;
    equal(second!.line, `${method} /next?x=1 HTTP/1.1`);
    equal(second!.body, method === "POST" ? first!.body : "");
  }
});

Deno.test("the call-out admits on 200 with Allow true and nothing else", async () => {
  const cases: [string, boolean][] = [
    [ALLOW, true],
    [answer(200, ' {"aLLOW":true, "Other":[{"Allow":false}]} trailing'), true],
    [answer(200, '{"Allow":true}}'), true],
    [answer(200, `{"x":"${"y".repeat(4000)}","Allow":true}`), true],
    [answer(200, `{"x":"${"y".repeat(4096)}","Allow":true}`), false],
    [answer(200, '{"Allow":false}'), false],
    [answer(200, '{"Allow":"true"}'), false],
    [answer(200, '{"Allow":null}'), false],
    [answer(200, "{}"), false],
    [answer(200, "null"), false],
    [answer(200, '[{"Allow":true}]'), false],
    [answer(200, ""), false],
    [answer(200, '{"Allow":true'), false],
    [answer(201, '{"Allow":true}'), false],
    [answer(204, ""), false],
    [answer(302, '{"Allow":true}'), false],
    [answer(403, '{"Allow":true}'), false],
    [answer(500, ""), false],
  ];
  for (const [text, admitted] of cases) {
    await using service = new Service(() => text);
    // Also where it fails open: the service has answered.
    await using out = callOut(service.url, { failOpen: true });
    equal(await out.admit(), admitted, text.slice(0, 120));
    equal(out.opened(), 0);
  }
});

Deno.test("the call-out reads a compressed answer", async () => {
  const packed = new Blob(['{"Allow":true}']).stream().pipeThrough(new CompressionStream("gzip"));
  const body = new Uint8Array(await new Response(packed).arrayBuffer());
  const head = new TextEncoder().encode(
    `HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  await using service = new Service(() => new Uint8Array([...head, ...body]));
  await using out = callOut(service.url);
  ok(await out.admit());
});

Deno.test("the call-out decides when the object is complete, not when the answer ends", async () => {
  const text = 'HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{"Allow":true}';
  await using service = new Service(() => text, true);
  await using out = callOut(service.url);
  const began = performance.now();
  ok(await out.admit());
  ok(performance.now() - began < underLoad(4_000));
});

Deno.test("the call-out fails closed, or open where that is wished, when nobody answers", async () => {
  const nobody = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const url = `http://127.0.0.1:${nobody.addr.port}`;
  nobody.close();
  await using silent = new Service(() => undefined);
  await using round = new Service(() => answer(302, "", { location: "/again" }));
  await using away = new Service(() => answer(302, "", { location: "file:///etc/passwd" }));
  for (const target of [url, silent.url, round.url, away.url]) {
    for (const failOpen of [false, true]) {
      await using out = callOut(target, { failOpen, timeoutMs: 300 });
      equal(await out.admit(), failOpen);
      equal(out.opened(), failOpen ? 1 : 0);
    }
  }
  equal(round.requests.length, 20);
});

Deno.test("the call-out refuses when the answer begins and then stalls, also failing open", async () => {
  const text = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{"A\r\n';
  for (const hold of [true, false]) {
    await using service = new Service(() => text, hold);
    await using out = callOut(service.url, { failOpen: true, timeoutMs: 300 });
    equal(await out.admit(), false);
    equal(out.opened(), 0);
  }
});

Deno.test("logins of one key from one address are one question, others are not", async () => {
  await using service = new Service(({ body }) =>
    body.includes("192.0.2.9") ? answer(200, "{}") : ALLOW
  );
  await using out = callOut(service.url);
  const { hex } = newKey();
  const answers = await Promise.all([
    ...Array.from({ length: 20 }, () => out.admit(hex)),
    out.admit(hex, "192.0.2.9"),
    out.admit(),
  ]);
  deepEqual(answers, [...Array(20).fill(true), false, true]);
  equal(service.requests.length, 3);
});

Deno.test("many logins at once are asked a few at a time, and all are answered", async () => {
  await using service = new Service(() => ALLOW);
  // Patience for all 60 on a busy machine: how many at once is what this is about.
  await using out = callOut(service.url, { atOnce: 4, timeoutMs: 60_000 });
  const answers = await Promise.all(Array.from({ length: 60 }, () => out.admit()));
  ok(answers.every((admitted) => admitted));
  equal(service.requests.length, 60);
  ok(service.most <= 8, `${service.most} connections at once`);
});

Deno.test("a login that gets no turn is refused even when failing open: floods open nothing", async () => {
  await using service = new Service(() => undefined);
  await using out = callOut(service.url, { failOpen: true, atOnce: 1, timeoutMs: 300 });
  const [first, second] = await Promise.all([out.admit(), out.admit()]);
  deepEqual([first, second], [true, false]);
});

Deno.test("the call-out asks again when a kept connection was closed meanwhile", async () => {
  let asked = 0;
  // The first connection stays open as far as anybody can tell, and ends when it is used again.
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const text = 'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"Allow":true}';
    for (let i = 0; i < 2; i++) {
      using conn = await listener.accept();
      await conn.read(new Uint8Array(4096));
      asked++;
      await conn.write(new TextEncoder().encode(text));
      if (i === 0) await conn.read(new Uint8Array(1));
    }
  })();
  await using out = callOut(`http://127.0.0.1:${listener.addr.port}`);
  deepEqual([await out.admit(), await out.admit()], [true, true]);
  await serving;
  listener.close();
  equal(asked, 2);
});

Deno.test("the call-out says what it is without the credentials of its URL, and sends those", async () => {
  await using service = new Service(() => ALLOW);
  await using out = callOut(service.url.replace("//", "//me:pass%20word@") + "/x?token=secret");
  ok(await out.admit());
  equal(service.requests[0]!.headers.get("authorization"), `Basic ${btoa("me:pass word")}`);
  match(out.describe(), /^call-out http:\/\/127\.0\.0\.1:\d+\/x \(fails closed\)$/);
});

Deno.test("a call-out to something that is no URL is a usage error that does not repeat it", () => {
  for (const url of ["secret", "ftp://host/secret", "", "http://"]) {
    throws(() => new CallOut(url, { failOpen: false, opened: () => {} }), {
      name: "RelayError",
      exitCode: 2,
      message: /^Cannot use --verify-client-url: it is no http or https URL/,
    });
  }
});

Deno.test("a verdict is read from any split and any bytes without an error", () => {
  const encoder = new TextEncoder();
  fc.assert(fc.property(fc.jsonValue(), fc.string(), (value, behind) => {
    const json = JSON.stringify(value), end = objectEnd(encoder.encode(json + behind));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      equal(end, encoder.encode(json).length);
    } else equal(end === undefined || end === -1, true);
  }));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    const end = objectEnd(bytes);
    ok(end === undefined || end === -1 || end <= bytes.length);
    equal(typeof allows(new TextDecoder().decode(bytes)), "boolean");
  }));
});
