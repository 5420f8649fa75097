import assert from "node:assert/strict";
import { decode, encode, readAll, readAnswer, send } from "./front_testing.ts";
import { companionApp, PlainHttp } from "./mod.ts";
import type { PlainHttpOptions } from "./plain_http.ts";
import { testState } from "./testing.ts";

/** A companion on a free port. */
function companion(options: PlainHttpOptions = {}, app = companionApp(testState())) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const http = new PlainHttp(listener, app, {
    ...options,
    limits: { sweepMs: 10, ...options.limits },
  });
  return {
    http,
    connect: () => Deno.connect({ hostname: "127.0.0.1", port }),
    [Symbol.asyncDispose]: () => http.close(),
  };
}

Deno.test("the plain companion answers one request after the other, with the client's address", async () => {
  const seen: string[] = [];
  const app = {
    fetch(request: Request, { remoteAddress }: { remoteAddress: string }) {
      seen.push(remoteAddress);
      return companionApp(testState()).fetch(request, { remoteAddress });
    },
  };
  await using server = companion({}, app as ReturnType<typeof companionApp>);
  using conn = await server.connect();
  for (const path of ["/generate_204", "/a?b=c"]) {
    await send(conn, encode(`GET ${path} HTTP/1.1\r\nHost: relay.test:80\r\n\r\n`));
    const { head } = await readAnswer(conn);
    assert.match(head, path === "/a?b=c" ? /Location: https:\/\/relay\.test:80\/a\?b=c/ : / 204 /);
  }
  assert.deepEqual(seen, ["127.0.0.1", "127.0.0.1"]);
});

Deno.test("the plain companion makes no DERP stream of anything", async () => {
  await using server = companion();
  using conn = await server.connect();
  await send(conn, encode("GET /derp HTTP/1.1\r\nHost: h\r\nUpgrade: DERP\r\n\r\n"));
  assert.match((await readAnswer(conn)).head, /^HTTP\/1\.1 302 /);
});

Deno.test("the plain companion ends heads that do not come, and connections that fall silent", async () => {
  await using server = companion({ limits: { headMs: 40, httpIdleMs: 40 } });
  for (
    const text of ["", "GET / HTTP/1.1\r\nHo", "GET /generate_204 HTTP/1.1\r\nHost: h\r\n\r\n"]
  ) {
    using conn = await server.connect();
    await send(conn, encode(text));
    assert.match(decode(await readAll(conn)), text.endsWith("\r\n\r\n") ? / 204 / : /^$/);
  }
});

Deno.test("the plain companion refuses what is no request", async () => {
  await using server = companion();
  using conn = await server.connect();
  await send(conn, encode("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"));
  assert.match(decode(await readAll(conn)), /^HTTP\/1\.1 400 Bad Request\r\n/);
});

Deno.test("the plain companion lets an address have so many connections and no more", async () => {
  await using server = companion({
    gate: { perAddress: { unfinished: 2, total: 2 }, unfinished: 10 },
  });
  const conns: Deno.Conn[] = [];
  try {
    for (let i = 0; i < 3; i++) {
      conns.push(await server.connect());
      await send(conns[i]!, encode("GET /generate_204 HTTP/1.1\r\nHost: h\r\n\r\n")).catch(
        () => {},
      );
      const answer = i < 2 ? (await readAnswer(conns[i]!)).head : decode(await readAll(conns[i]!));
      assert.match(answer, i < 2 ? / 204 / : /^$/);
    }
  } finally {
    for (const conn of conns) conn.close();
  }
});

Deno.test("the plain companion's end waits for answers under way, but not for ever", async () => {
  for (const late of [false, true]) {
    const asked = Promise.withResolvers<void>(), answers = Promise.withResolvers<void>();
    const app = {
      async fetch() {
        asked.resolve();
        await answers.promise;
        return new Response("done");
      },
    };
    const server = companion({}, app as unknown as ReturnType<typeof companionApp>);
    using idle = await server.connect();
    using conn = await server.connect();
    await send(conn, encode("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    await asked.promise;
    const closing = server.http.close(late ? 20 : 5_000);
    assert.equal(decode(await readAll(idle)), "");
    if (!late) answers.resolve();
    assert.match(decode(await readAll(conn)), late ? /^$/ : /done$/);
    answers.resolve();
    await closing;
    await assert.rejects(server.connect());
  }
});
