/** The listener that serves an application and nothing else, as strangers find it. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { decode, encode, readAll, readAnswer, readHead, send } from "./front_testing.ts";
import type { GuestHttpOptions } from "./guest_http.ts";
import { type BodySink, type Guest, GuestHttp, LongBody } from "./mod.ts";

type Fetch = Guest["fetch"];

/** An application on a free port, with clients that hang up by themselves. */
class Server implements AsyncDisposable {
  readonly #http: GuestHttp;
  readonly #port: number;
  readonly #conns: Deno.TcpConn[] = [];

  constructor(fetch: Fetch, options: GuestHttpOptions = {}) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#port = (listener.addr as Deno.NetAddr).port;
    const limits = { sweepMs: 10, ...options.limits };
    this.#http = new GuestHttp(listener, { fetch }, { ...options, limits });
  }

  async connect(): Promise<Deno.TcpConn> {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: this.#port });
    this.#conns.push(conn);
    return conn;
  }

  async ask(request: string | Uint8Array): Promise<Deno.TcpConn> {
    const conn = await this.connect();
    await send(conn, typeof request === "string" ? encode(request) : request);
    return conn;
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.#conns) conn.close();
    await this.#http.close();
  }
}

const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

/** A body that is written by the test, and what became of it. */
class Pushed {
  readonly opened = Promise.withResolvers<BodySink>();
  readonly gone = Promise.withResolvers<void>();
  readonly body: LongBody;
  taken = 0;

  constructor() {
    this.body = new LongBody({
      open: (sink) => this.opened.resolve(sink),
      taken: () => void this.taken++,
      gone: () => this.gone.resolve(),
    });
  }
}

Deno.test("GuestHttp answers requests that come at once, one by one and in their order", async () => {
  let under = 0;
  await using server = new Server(async (request) => {
    assert.equal(++under, 1, "one at a time");
    const text = request.method === "POST" ? await request.text() : "";
    await new Promise((resolve) => setImmediate(resolve));
    under--;
    return new Response(`<${new URL(request.url).pathname}${text}>`);
  });
  const post = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
  const conn = await server.ask(
    get("/a") + post + get("/c") + get("/d", "Connection: close\r\n") + get("/never"),
  );
  const all = decode(await readAll(conn));
  assert.deepEqual(all.match(/<\S+>/g), ["</a>", "</bbody>", "</c>", "</d>"]);
  assert.equal(all.match(/HTTP\/1\.1 200 OK\r\n/g)?.length, 4);
});

Deno.test("GuestHttp refuses what could be read in two ways, and the application never hears of it", async () => {
  await using server = new Server((request) => {
    throw new Error(`it heard of ${request.url}`);
  });
  const cases: [string, number][] = [
    ["\x16\x03\x01\x02\x00\x01\x00\n\n", 400],
    ["GET / HTTP/1.1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
    [get("/", "Content-Length : 3\r\n"), 400],
    [get("/", "Content-Length: 3\r\nContent-Length: 4\r\n"), 400],
    [get("/", "Content-Length: -1\r\n"), 400],
    [get("/", "Transfer-Encoding: gzip, chunked\r\n"), 501],
    ["POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
    [get("/", " folded: x\r\n"), 400],
    [get("/", "A: b\x00c\r\n"), 400],
    [get("/", "A: b\r\n".repeat(200)), 431],
    [`GET /${"x".repeat(20_000)} HTTP/1.1\r\n`, 431],
  ];
  for (const [request, status] of cases) {
    const text = decode(await readAll(await server.ask(request)));
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} [^]*Connection: close`), request);
  }
});

Deno.test("GuestHttp survives any bytes", async () => {
  await using server = new Server(() => new Response("ok"), { limits: { headMs: 50 } });
  const line = fc.constantFrom(
    "GET / HTTP/1.1\r\n",
    "Host: a\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 9\r\n",
    "Expect: 100-continue\r\n",
    "\r\n",
    "5\r\nab",
    "0\r\n\r\n",
    "\0",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), async (lines) => {
      const conn = await server.ask(lines.join(""));
      await conn.closeWrite();
      await readAll(conn);
    }),
    { numRuns: 40 },
  );
  assert.equal((await readAnswer(await server.ask(get("/")))).body, "ok");
});

Deno.test("GuestHttp reads a body no faster than the application does, and ends one that stands still", async () => {
  const read = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<unknown>();
  await using server = new Server(async (request) => {
    if (request.url.endsWith("/unread")) return new Response("no", { status: 413 });
    await read.promise;
    const text = await request.text().catch((error) => void failed.resolve(error));
    return new Response(String(text?.length));
  }, { limits: { httpIdleMs: 100 } });
  const post = (path: string, length: number) =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
  // More than the kernel holds for both sides together.
  const big = 32 * 1024 * 1024;
  const conn = await server.ask(post("/", big));
  const body = new Uint8Array(big).fill(97);
  let sent = 0;
  const sending = (async () => {
    while (sent < big) sent += await conn.write(body.subarray(sent, sent + 65536));
  })();
  for (let before = -1; before !== sent;) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert(sent < big, "it waits for the application");
  read.resolve();
  await sending;
  assert.equal((await readAnswer(conn)).body, String(big));
  // What nobody reads is not waited for either.
  const slow = await server.ask(post("/unread", 100));
  assert.match(decode(await readAll(slow)), /^HTTP\/1\.1 413 /);
  // Cut short: the application hears of it.
  const short = await server.ask(post("/", 10) + "abc");
  await short.closeWrite();
  assert.match(String(await failed.promise), /damaged or cut short/);
});

Deno.test("GuestHttp pushes a long body, one write at a time, and holds nothing else for it", async () => {
  const pushed = new Pushed();
  await using server = new Server(() => new Response(pushed.body));
  const conn = await server.ask(get("/"));
  const { head, rest } = await readHead(conn);
  assert.match(head, /\r\nTransfer-Encoding: chunked\r\n/);
  const sink = await pushed.opened.promise;
  // Larger than what is taken at once.
  const big = new Uint8Array(3_000_000).fill(120);
  sink.write(big);
  assert.equal(pushed.taken, 0);
  const wanted = `${big.length.toString(16)}\r\n${decode(big)}\r\n`;
  let got = decode(rest);
  const buffer = new Uint8Array(65536);
  while (got.length < wanted.length) got += decode(buffer.subarray(0, (await conn.read(buffer))!));
  assert(got === wanted);
  while (pushed.taken === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(pushed.taken, 1);
  sink.cut(new Error("over"));
  await pushed.gone.promise;
  assert.equal((await readAll(conn)).length, 0, "no end of the answer");
  sink.write(encode("nobody is there"));
});

Deno.test("GuestHttp sends the same long bytes to all, and to clients of old without chunks", async () => {
  const all: Pushed[] = [];
  await using server = new Server(() => {
    all.push(new Pushed());
    return new Response(all.at(-1)!.body);
  });
  const texts: Promise<string>[] = [];
  for (const request of [get("/"), get("/"), "GET / HTTP/1.0\r\n\r\n"]) {
    const conn = await server.ask(request);
    const { head, rest } = await readHead(conn);
    assert.equal(/chunked/.test(head), request.includes("1.1"));
    texts.push(readAll(conn).then((bytes) => decode(rest) + decode(bytes)));
  }
  const bytes = encode("event");
  for (const one of all) {
    const sink = await one.opened.promise;
    sink.write(bytes);
  }
  for (const one of all) {
    while (one.taken === 0) await new Promise((resolve) => setImmediate(resolve));
    (await one.opened.promise).cut(new Error("over"));
  }
  assert.deepEqual(await Promise.all(texts), ["5\r\nevent\r\n", "5\r\nevent\r\n", "event"]);
});

Deno.test("GuestHttp tells a long body that its client has gone, or takes nothing", async () => {
  const all: Pushed[] = [];
  await using server = new Server(() => {
    all.push(new Pushed());
    return new Response(all.at(-1)!.body);
  }, { limits: { httpIdleMs: 100 } });
  const conn = await server.ask(get("/"));
  await readHead(conn);
  await all[0]!.opened.promise;
  await new Promise((resolve) => setTimeout(resolve, 150)); // silence is no reason
  await conn.closeWrite();
  await all[0]!.gone.promise;
  const stalled = await server.ask(get("/"));
  await readHead(stalled);
  const sink = await all[1]!.opened.promise;
  sink.write(new Uint8Array(32 * 1024 * 1024));
  await all[1]!.gone.promise;
  assert.equal(all[1]!.taken, 0);
  // A client that speaks out of turn is not listened to, and found out by the next write.
  const talker = await server.ask(get("/") + get("/again"));
  await readHead(talker);
  (await all[2]!.opened.promise).write(encode("a"));
  while (all[2]!.taken === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(all.length, 3, "what came behind it is no request");
});

Deno.test("GuestHttp gives a long body up that is answered to HEAD, or whose client went before", async () => {
  const pushed = new Pushed();
  await using server = new Server(() => new Response(pushed.body));
  const conn = await server.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.equal((await readHead(conn)).rest.length, 0);
  await pushed.gone.promise;
});

Deno.test("GuestHttp ends what it holds when it closes", async () => {
  const pushed = new Pushed();
  await using server = new Server((request) =>
    new URL(request.url).pathname === "/long" ? new Response(pushed.body) : new Response("ok")
  );
  const kept = await server.ask(get("/"));
  await readAnswer(kept);
  const silent = await server.connect();
  const long = await server.ask(get("/long"));
  await readHead(long);
  await server.close();
  await pushed.gone.promise;
  for (const conn of [kept, silent, long]) assert.equal((await readAll(conn)).length, 0);
  await assert.rejects(server.connect(), Deno.errors.ConnectionRefused);
});

Deno.test("GuestHttp takes so many of one address that are no callers yet, and ends slow heads", async () => {
  await using server = new Server(
    (request, client) => {
      if (request.headers.has("x-known")) client.known();
      return new Response("ok");
    },
    { gate: { perAddress: { unfinished: 2, total: 4 } }, limits: { headMs: 60 } },
  );
  const known = await server.ask(get("/", "X-Known: 1\r\n"));
  assert.equal((await readAnswer(known)).body, "ok");
  const slow = [await server.ask("GET / HT"), await server.connect()];
  const refused = await server.ask(get("/"));
  assert.equal((await readAll(refused)).length, 0, "a third stranger");
  for (const conn of slow) assert.equal((await readAll(conn)).length, 0, "they are late");
  assert.equal((await readAnswer(await server.ask(get("/")))).body, "ok", "room again");
});

Deno.test("GuestHttp answers 500 without the reason when the application fails, and goes on", async () => {
  await using server = new Server((request) => {
    if (request.url.endsWith("/bad")) throw new Error("secret");
    return new Response("ok");
  });
  const conn = await server.ask(get("/bad"));
  const { head, body } = await readAnswer(conn);
  assert.match(head, /^HTTP\/1\.1 500 /);
  assert.doesNotMatch(body, /secret/);
  await send(conn, encode(get("/")));
  assert.equal((await readAnswer(conn)).body, "ok");
});
