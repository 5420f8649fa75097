/** Another application on the relay's port. */
import assert from "node:assert/strict";
import { FrameType, upgradeRequest } from "../derp/mod.ts";
import { TestClient } from "../server/testing.ts";
import { decode, encode, PlainFront, readAll, readAnswer, readHead } from "./front_testing.ts";
import type { Guest, GuestClient } from "./mod.ts";

type Fetch = Guest["fetch"];

/** A guest of all paths under `/api` and of one host. */
function guestOf(fetch: Fetch): Guest {
  return { owns: (host, path) => host === "api.test" || path.startsWith("/api"), fetch };
}

function front(fetch: Fetch, limits = {}, options = {}): PlainFront {
  return new PlainFront(limits, { ...options, guest: guestOf(fetch) });
}

Deno.test("Front gives its guest requests by host and path, with their bodies, and keeps the rest", async () => {
  const seen: string[] = [];
  await using setup = front(async (request, { remoteAddress, remotePort }) => {
    assert.equal(remoteAddress, "127.0.0.1");
    assert(remotePort > 0);
    const text = await request.text();
    seen.push(`${request.method} ${request.url} ${text}`);
    return Response.json({ length: text.length }, { status: 201, headers: { "x-a": "b" } });
  });
  const big = "x".repeat(300_000);
  using conn = await setup.connect();
  const ask = async (request: string) => {
    await conn.write(encode(request));
    return await readAnswer(conn);
  };
  const first = await ask(
    "POST /api/x?y=%20 HTTP/1.1\r\nHost: relay.test\r\nContent-Length: 5\r\n\r\nhello",
  );
  assert.match(first.head, /^HTTP\/1\.1 201 Created\r\n[^]*X-A: b\r\n/);
  assert.equal(first.body, '{"length":5}');
  // A page of the relay in between, on the same connection.
  assert.match(
    (await ask("GET /robots.txt HTTP/1.1\r\nHost: relay.test\r\n\r\n")).body,
    /Disallow/,
  );
  assert.equal(
    (await ask(
      "PUT /other HTTP/1.1\r\nHost: API.test.:443\r\nTransfer-Encoding: chunked\r\n\r\n" +
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    )).body,
    '{"length":5}',
  );
  const long = setup.ask(
    `POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: ${big.length}\r\n\r\n${big}`,
  );
  using other = await long;
  assert.equal((await readAnswer(other)).body, '{"length":300000}');
  assert.deepEqual(seen.slice(0, 2), [
    "POST https://relay.test/api/x?y=%20 hello",
    "PUT https://api.test.:443/other abcde".replace(":443", ""),
  ]);
});

Deno.test("Front keeps the upgrade to DERP, on any host, also behind requests to its guest", async () => {
  await using setup = front(() => new Response("api"));
  const conn = await setup.ask("GET /api HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.equal((await readAnswer(conn)).body, "api");
  const client = new TestClient(conn);
  await client.send(upgradeRequest("api.test", { fastStart: true }));
  await client.login();
  client.close();
  assert.equal(FrameType.ServerKey, 1);
});

Deno.test("Front asks for the body of a guest's request only when the guest reads it", async () => {
  await using setup = front(async (request) => {
    if (request.url.endsWith("/read")) return new Response(await request.text());
    return new Response("no", { status: 413 });
  });
  const head = (path: string) =>
    `POST /api/${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n`;
  using read = await setup.ask(head("read"));
  assert.equal((await readHead(read)).head, "HTTP/1.1 100 Continue\r\n\r\n");
  await read.write(encode("ab"));
  assert.equal((await readAnswer(read)).body, "ab");
  using refused = await setup.ask(head("no"));
  const all = decode(await readAll(refused));
  assert.match(all, /^HTTP\/1\.1 413 [^]*Connection: close/);
});

Deno.test("Front gives a guest's body up when it is too long to read past", async () => {
  await using setup = front(() => new Response("no", { status: 413 }));
  using conn = await setup.ask(
    "POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nx",
  );
  assert.match(decode(await readAll(conn)), /^HTTP\/1\.1 413 /);
});

Deno.test("Front streams a guest's answer for as long as it lasts, and tells it when the client goes", async () => {
  const cancelled = Promise.withResolvers<void>();
  let controller: ReadableStreamDefaultController<Uint8Array>;
  await using setup = front(async (request) => {
    await request.text();
    return new Response(
      new ReadableStream({
        start: (c) => void (controller = c),
        cancel: () => cancelled.resolve(),
      }),
    );
  }, { httpIdleMs: 100 });
  const conn = await setup.ask("POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n[]");
  assert.match((await readHead(conn)).head, /Transfer-Encoding: chunked/);
  const buffer = new Uint8Array(100);
  for (const text of ["a", "b"]) {
    await new Promise((resolve) => setTimeout(resolve, 150)); // longer than a silent page may take
    controller!.enqueue(encode(text));
    const n = await conn.read(buffer);
    assert.equal(decode(buffer.subarray(0, n!)), `1\r\n${text}\r\n`);
  }
  conn.close();
  await cancelled.promise;
});

Deno.test("Front cuts a guest's answer off when its body fails, and when the client takes nothing", async () => {
  let fail = (_error: Error) => {};
  let stalled = Promise.withResolvers<void>();
  await using setup = front((request) => {
    if (request.url.endsWith("/stall")) {
      return new Response(
        new ReadableStream({
          pull: (c) => c.enqueue(new Uint8Array(65536)),
          cancel: () => stalled.resolve(),
        }),
      );
    }
    return new Response(
      new ReadableStream({
        start: (c) => {
          c.enqueue(encode("a"));
          fail = (error) => c.error(error);
        },
      }),
    );
  }, { httpIdleMs: 100 });
  using conn = await setup.ask("GET /api HTTP/1.1\r\nHost: a\r\n\r\n");
  const { rest } = await readHead(conn);
  fail(new Error("over"));
  const all = decode(rest) + decode(await readAll(conn));
  assert.equal(all, "1\r\na\r\n", "no end of the answer");
  stalled = Promise.withResolvers<void>();
  using _stall = await setup.ask("GET /api/stall HTTP/1.1\r\nHost: a\r\n\r\n");
  await stalled.promise;
});

Deno.test("Front counts a guest's client as a stranger until the guest knows it", async () => {
  const clients: GuestClient[] = [];
  await using setup = front(
    (_request, client) => {
      clients.push(client);
      return new Response("ok");
    },
    {},
    { perAddress: { unfinished: 2, total: 100 } },
  );
  const ask = async () => {
    const conn = await setup.ask("GET /api HTTP/1.1\r\nHost: a\r\n\r\n");
    return { conn, answered: await readAnswer(conn).then(() => true, () => false) };
  };
  using one = (await ask()).conn;
  using two = (await ask()).conn;
  assert.equal((await ask()).answered, false, "two strangers of one address");
  clients[0]!.known();
  using three = await ask().then(({ conn, answered }) => {
    assert.equal(answered, true);
    return conn;
  });
  void [one, two, three];
});

Deno.test("Front ends a connection that says nothing, with a guest as without", async () => {
  await using setup = front(() => new Response("ok"), { headMs: 100, httpIdleMs: 100 });
  using silent = await setup.connect();
  using slow = await setup.ask("POST /api HTTP/1.1\r\nHost: a\r\n");
  assert.equal((await readAll(silent)).length, 0);
  assert.equal((await readAll(slow)).length, 0);
  using kept = await setup.ask("GET /api HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.match(decode(await readAll(kept)), /ok$/, "and one that is idle between requests");
});

Deno.test("Front answers 500 for a guest that throws, and has no more of its guests than asked", async () => {
  await using setup = front(() => {
    throw new Error("secret");
  });
  using conn = await setup.ask("GET /api HTTP/1.1\r\nHost: a\r\n\r\n");
  const { head, body } = await readAnswer(conn);
  assert.match(head, /^HTTP\/1\.1 500 /);
  assert.doesNotMatch(body, /secret/);
});
