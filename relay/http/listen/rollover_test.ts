/** A certificate is replaced while clients come all the time. */
import assert from "node:assert/strict";
import { skip } from "../../../scripts/lab/support.ts";
import { ensureSelfSigned, type SelfSigned } from "../../cert/mod.ts";
import {
  encodePing,
  FrameType,
  generatePrivateKey,
  publicKeyOf,
  upgradeRequest,
} from "../../derp/mod.ts";
import { socketFds } from "../../net/mod.ts";
import { RelayServer } from "../../server/mod.ts";
import { TestClient } from "../../server/testing.ts";
import { readHead } from "../front_testing.ts";
import { Front, Responder } from "../mod.ts";

function listen(certificate: SelfSigned, port = 0): Deno.Listener {
  const { cert, key } = certificate;
  return Deno.listenTls({ hostname: "127.0.0.1", port, cert, key, reusePort: true });
}

Deno.test("Front replaces its listener under clients that connect without a pause, and loses none", async () => {
  const directory = await Deno.makeTempDir({ prefix: "nexd-rollover-" });
  const certificates = [
    await ensureSelfSigned(`${directory}/a`, ["localhost"]),
    await ensureSelfSigned(`${directory}/b`, ["localhost"]),
  ];
  const privateKey = generatePrivateKey();
  const relay = new RelayServer({ privateKey, publicKey: publicKeyOf(privateKey) }, {
    sweepMs: 10,
  });
  const responder = new Responder({ fetch: () => new Response(null) }, relay.limits, relay.sweep);
  const first = listen(certificates[0]!);
  const { port } = first.addr as Deno.NetAddr;
  const front = new Front(first, relay, responder);
  const caCerts = certificates.map(({ ca }) => ca);
  const connect = () => Deno.connectTls({ hostname: "localhost", port, caCerts });

  const stays = new TestClient(await connect());
  // In fast start nothing but frames comes.
  await stays.send(upgradeRequest("localhost", { fastStart: true }));
  await stays.login();

  let going = true;
  let answered = 0;
  const failures: string[] = [];
  const clients = Array.from({ length: 4 }, async () => {
    while (going) {
      try {
        using conn = await connect();
        await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert.match((await readHead(conn)).head, /^HTTP\/1\.1 200 /);
        answered += 1;
      } catch (error) {
        failures.push(String(error));
      }
    }
  });
  for (let i = 1; i <= 3; i++) {
    await front.replaceListener(listen(certificates[i % 2]!, port));
  }
  const afterwards = answered;
  while (answered < afterwards + 4 && failures.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  going = false;
  await Promise.all(clients);
  if (socketFds().size === 0) skip("no FFI, or not Linux: a client in the middle may be reset");
  else assert.deepEqual(failures, []);
  // Now it is the other certificate, and no stream has ended.
  const other = Deno.connectTls({ hostname: "localhost", port, caCerts: [caCerts[0]!] })
    .then((conn) => conn.handshake());
  await assert.rejects(other);
  const ping = async () => {
    await stays.send(encodePing(new Uint8Array(8)));
    await stays.expect(FrameType.Pong);
  };
  await ping();

  await front.stopAccepting();
  await assert.rejects(connect(), Deno.errors.ConnectionRefused);
  await ping();
  stays.close();
  await front.stop();
  await relay.close();
  await Deno.remove(directory, { recursive: true });
});
