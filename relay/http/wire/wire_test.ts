/** Requests in, answers out, over a connection in memory. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { DEFAULT_LIMITS, MAX_HEAD, type Sweep } from "../../server/mod.ts";
import { MemorySocket } from "../../server/testing.ts";
import { RequestBody } from "./body.ts";
import { HeadError, RequestInput, Responder } from "./mod.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Deadlines that never come. */
const sweep = { deadline: () => ({ end: () => {} }) } as unknown as Sweep;

/** A client that has said all of `text`, in pieces. */
async function inputOf(text: string, cuts: number[] = []): Promise<RequestInput> {
  const [ours, theirs] = MemorySocket.pair();
  const edges = [...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
  let at = 0;
  for (const edge of edges) {
    if (edge > at) await theirs.write(encode(text.slice(at, edge)));
    at = Math.max(at, edge);
  }
  theirs.close();
  return new RequestInput(ours);
}

Deno.test("RequestInput reads one request after the other wherever the bytes are cut", async () => {
  const requests = [
    "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
    "POST /c HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\n\n3\r\nGET\r\n0\r\n\r\n",
    `GET /d HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(5000)}\r\n\r\n`,
  ];
  const cuts = fc.array(fc.nat(6000), { maxLength: 12 });
  await fc.assert(fc.asyncProperty(cuts, async (at) => {
    const input = await inputOf(requests.join("") + "rest", at);
    for (const path of ["/a", "/b", "/c", "/d"]) {
      const head = await input.head();
      assert.equal(head!.path, path);
      assert.equal(await new RequestBody(input, head!.framing).skip(), true);
    }
    assert.equal("rest".startsWith(new TextDecoder().decode(input.rest())), true);
    assert.equal(await input.head(), undefined);
  }));
});

Deno.test("RequestInput refuses a head that does not end", async () => {
  const input = await inputOf("GET / HTTP/1.1\r\n" + "X: y\r\n".repeat(5000));
  await assert.rejects(input.head(), (e) => e instanceof HeadError && e.status === 431);
  const fits = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const whole = `${fits}${"x".repeat(MAX_HEAD - fits.length - 4)}\r\n\r\n`;
  assert.equal((await (await inputOf(whole)).head())!.path, "/");
});

Deno.test("RequestInput gives up a body that is too long, bad, or cut off", async () => {
  const bodies: [string, string][] = [
    ["Content-Length: 999999999", "x"],
    ["Content-Length: 10", "x"],
    ["Transfer-Encoding: chunked", "zz\r\n"],
    ["Transfer-Encoding: chunked", `fffff\r\n${"x".repeat(300_000)}`],
  ];
  for (const [header, body] of bodies) {
    const input = await inputOf(`POST / HTTP/1.1\r\nHost: a\r\n${header}\r\n\r\n${body}`);
    const head = await input.head();
    assert.equal(await new RequestBody(input, head!.framing).skip(), false, header);
  }
});

Deno.test("RequestBody gives an application the bytes that were sent, whatever the framing and the cuts", async () => {
  const chunked = (parts: string[]) =>
    parts.map((part) => `${part.length.toString(16)};x=y\r\n${part}\r\n`).join("") + "0\r\n\r\n";
  const word = fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 300 });
  const cuts = fc.array(fc.nat(9000), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(word), fc.boolean(), cuts, async (parts, length, at) => {
      const text = parts.join("");
      const framing = length ? `Content-Length: ${text.length}` : "Transfer-Encoding: chunked";
      const input = await inputOf(
        `POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${length ? text : chunked(parts)}rest`,
        at,
      );
      const body = new RequestBody(input, (await input.head())!.framing);
      assert.equal(await new Response(body.stream()).text(), text);
      assert.equal(body.done && await body.skip(), true);
      const next = await input.some();
      assert.equal("rest".startsWith(new TextDecoder().decode(next)), true);
    }),
  );
});

Deno.test("RequestBody fails for the application when a body is bad or cut short", async () => {
  for (
    const [header, body] of [
      ["Content-Length: 10", "x"],
      ["Transfer-Encoding: chunked", "3\r\nabc"],
      ["Transfer-Encoding: chunked", "3\r\nabcd\r\n"],
    ]
  ) {
    const input = await inputOf(`POST / HTTP/1.1\r\nHost: a\r\n${header}\r\n\r\n${body}`);
    const stream = new RequestBody(input, (await input.head())!.framing).stream();
    await assert.rejects(new Response(stream).text(), /damaged or cut short/);
  }
});

/** What a client gets for `request` when the application answers with `response`. */
async function answer(
  request: string,
  response: (request: Request) => Response | Promise<Response>,
): Promise<{ text: string; kept: boolean }> {
  const [ours, theirs] = MemorySocket.pair();
  await theirs.write(encode(request));
  const input = new RequestInput(ours);
  const conn = ours as unknown as Deno.Conn;
  const responder = new Responder({ fetch: response }, DEFAULT_LIMITS, sweep);
  const kept = await responder.answer(conn, (await input.head())!, input, "192.0.2.7");
  ours.close();
  let text = "";
  const buffer = new Uint8Array(65536);
  for (let n; (n = await theirs.read(buffer)) !== null;) {
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return { text: text.replace(/\r\nDate: [^\r]+ GMT\r\n/, "\r\n"), kept };
}

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

Deno.test("Responder sends a ready body with its length, and another one in chunks", async () => {
  const whole = await answer(GET, () => new Response("hi", { headers: { "x-y": "z" } }));
  assert.equal(
    whole.text,
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=UTF-8\r\nX-Y: z\r\nContent-Length: 2\r\n\r\nhi",
  );
  assert.equal(whole.kept, true);
  const slow = () => {
    const stream = new ReadableStream({
      async start(controller) {
        controller.enqueue(encode("first"));
        await new Promise((resolve) => setTimeout(resolve, 5));
        controller.enqueue(new Uint8Array(0));
        controller.enqueue(encode("second, longer"));
        controller.close();
      },
    });
    return new Response(stream);
  };
  const chunked = await answer(GET, slow);
  assert.equal(
    chunked.text,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
      "5\r\nfirst\r\ne\r\nsecond, longer\r\n0\r\n\r\n",
  );
  const old = await answer("GET / HTTP/1.0\r\n\r\n", slow);
  assert.equal(old.text, "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nfirstsecond, longer");
  assert.equal(old.kept, false);
});

Deno.test("Responder leaves the body out where there may be none", async () => {
  const head = await answer(GET.replace("GET", "HEAD"), () => new Response("hello"));
  assert.match(head.text, /\r\nContent-Length: 5\r\n\r\n$/);
  const empty = await answer(GET, () => new Response(null, { status: 204 }));
  assert.equal(empty.text, "HTTP/1.1 204 No Content\r\n\r\n");
});

Deno.test("Responder ends the connection when client, application or a doubtful body want it", async () => {
  const ok = () => new Response(null);
  const post = (lines: string, body = "") =>
    `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n${body}`;
  const last = [
    GET.replace("Host", "Connection: keep-alive, Close\r\nHost"),
    post("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    post("Content-Length: 3\r\nExpect: 100-continue"),
    post("Transfer-Encoding: chunked", "x\r\n"),
  ];
  for (const request of last) assert.equal((await answer(request, ok)).kept, false, request);
  const app = await answer(GET, () => new Response(null, { headers: { connection: "close" } }));
  assert.equal(app.kept, false);
  assert.match(app.text, /\r\nConnection: close\r\n/);
  assert.equal((await answer(post("Content-Length: 3", "abc"), ok)).kept, true);
});

Deno.test("Responder answers what the application never sees", async () => {
  const none = () => assert.fail("not for the application");
  const first = async (request: string) => (await answer(request, none)).text.split("\r\n")[0];
  assert.equal(
    await first("CONNECT b:22 HTTP/1.1\r\nHost: b:22\r\n\r\n"),
    "HTTP/1.1 403 Forbidden",
  );
  assert.equal(
    await first("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "HTTP/1.1 405 Method Not Allowed",
  );
  assert.equal(await first("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 200 OK");
  const unclean: [string, string][] = [
    ["//derp", "/derp"],
    ["/derp/../robots.txt?a=/../b", "/robots.txt?a=/../b"],
    ["/%2e%2E/a/./", "/a/"],
    ["///evil.test//", "/evil.test/"],
    ["/\\evil.test/./", "/%5Cevil.test/"],
    ["/../../a%20b//c", "/a%20b/c"],
    ["/..", "/"],
  ];
  for (const [target, location] of unclean) {
    const { text } = await answer(GET.replace("/", target), none);
    assert.match(text, /^HTTP\/1\.1 307 /);
    assert(text.endsWith(`">Temporary Redirect</a>.\n\n`), "as the reference relay has it");
    assert.match(
      text,
      new RegExp(`\r\nLocation: ${location.replace(/[?.*]/g, "\\$&")}\r\n`),
      target,
    );
  }
});

Deno.test("Responder gives the application what the client said, and its own answer to a fault", async () => {
  const seen: string[] = [];
  const target = "/a%20b/%64erp?x=1&y=%2f";
  await answer(
    `PUT ${target} HTTP/1.1\r\nHost: relay.test:8443\r\nX-Two: a\r\nX-Two: b\r\n\r\n`,
    (request) => {
      seen.push(request.method, request.url, request.headers.get("x-two")!);
      return new Response(null);
    },
  );
  assert.deepEqual(seen, ["PUT", `http://relay.test:8443${target}`, "a, b"]);
  const fault = await answer(GET, () => Promise.reject(new Error("broken")));
  assert.match(fault.text, /^HTTP\/1\.1 500 Internal Server Error\r\n/);
  assert.doesNotMatch(fault.text, /broken/);
  const host = await answer("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", () => new Response(null));
  assert.match(host.text, /^HTTP\/1\.1 400 /);
});
