import assert from "node:assert/strict";
import { libcPath } from "../../relay/net/mod.ts";
import { dial } from "./dial.ts";

Deno.test("dial leaves no connection behind when a relay never answers the handshake", async () => {
  if (libcPath() === undefined) {
    // deno-lint-ignore no-console -- a test's skip line
    console.log("skip: no libc by FFI here");
    return;
  }
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = silent.accept();
  const limit = AbortSignal.timeout(200);
  const relay = { host: "localhost", address: "127.0.0.1", port: silent.addr.port };
  await assert.rejects(dial(relay, { signal: limit }), { name: "TimeoutError" });
  using conn = await accepted;
  // The ClientHello, then the end: without one this waits until the test's own limit.
  const ended = (async () => {
    const buffer = new Uint8Array(4096);
    while (await conn.read(buffer) !== null);
  })();
  const late = new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error("still open after 5 s")), 5_000);
    void ended.finally(() => clearTimeout(timer)).catch(() => {});
  });
  await Promise.race([ended.catch(() => {}), late]);
});
