import { equal, rejects } from "node:assert/strict";
import { ensureSelfSigned, metaCert } from "./mod.ts";

/** Serves TLS that greets each client, until disposed. */
function serve(cert: string, key: string): { port: number } & AsyncDisposable {
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const greet = async (connection: Deno.TlsConn) => {
    using _ = connection;
    try {
      await connection.write(new TextEncoder().encode("hi"));
    } catch {
      // A client that does not trust us hangs up.
    }
  };
  const done = (async () => {
    const greetings: Promise<void>[] = [];
    for await (const connection of listener) greetings.push(greet(connection));
    await Promise.all(greetings);
  })().catch(() => {});
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await done;
    },
  };
}

/** Connects to 127.0.0.1, checks the certificate against `hostname`, and reads the greeting. */
async function greeted(port: number, hostname: string, caCerts: string[]): Promise<string> {
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
  using tls = await Deno.startTls(tcp, { hostname, caCerts });
  const room = new Uint8Array(16);
  const count = await tls.read(room);
  return new TextDecoder().decode(room.subarray(0, count ?? 0));
}

Deno.test("a TLS client trusts a self-signed host when it trusts its CA and only then", async () => {
  const [ours, other] = [Deno.makeTempDirSync(), Deno.makeTempDirSync()];
  try {
    const made = await ensureSelfSigned(ours, ["relay.test", "*.wild.test", "127.0.0.1"]);
    const stranger = await ensureSelfSigned(other, ["relay.test", "127.0.0.1"]);
    const meta = await metaCert(crypto.getRandomValues(new Uint8Array(32)));
    for (const cert of [made.cert, made.cert + meta]) {
      await using server = serve(cert, made.key);
      for (const name of ["relay.test", "a.wild.test", "127.0.0.1"]) {
        equal(await greeted(server.port, name, [made.ca]), "hi", name);
      }
      await rejects(greeted(server.port, "relay.test", [stranger.ca]), /certificate/i);
      await rejects(greeted(server.port, "relay.test", []), /certificate/i);
      await rejects(greeted(server.port, "other.test", [made.ca]), /certificate/i);
    }
  } finally {
    for (const path of [ours, other]) Deno.removeSync(path, { recursive: true });
  }
});
