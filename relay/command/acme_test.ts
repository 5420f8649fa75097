/** The relay with a real ACME server: the order of its start, and the port that proves the name. */
import assert from "node:assert/strict";
import { cannotPebble, Pebble } from "../cert/acme/testing/mod.ts";
import { openSource } from "./certificates.ts";
import { startRelay } from "../mod.ts";
import { RELAY_OPTIONS } from "../options.ts";
import { readSettings } from "./settings.ts";

/** Starts a relay whose certificate comes from the CA, and connects to it. */
async function withCa(pebble: Pebble, httpPort: number | undefined): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/ca.crt`, pebble.ca);
    const settings = readSettings({
      ...Object.fromEntries(RELAY_OPTIONS.map(({ name, default: value }) => [name, value])),
      hostname: "relay.test",
      certdir: `${directory}/certs`,
      "acme-directory": pebble.directoryUrl,
      "acme-ca": `${directory}/ca.crt`,
      "http-port": httpPort ?? -1,
    });
    const opened = (await openSource(settings))!;
    assert.throws(() => opened.source.current, "there is none before the start");
    const relay = await startRelay({
      addr: { hostname: "127.0.0.1", port: httpPort === undefined ? pebble.tlsPort : 0 },
      httpPort,
      source: opened.source,
      ready: opened.ready,
      presenter: opened.presenter,
      limits: { drainMs: 0 },
    });
    try {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: relay.address.port });
      const caCerts = [await pebble.root()];
      const tls = await Deno.startTls(conn, { hostname: "relay.test", caCerts });
      await tls.handshake();
      tls.close();
    } finally {
      await relay.close();
      await opened.source.close();
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a relay proves its name on port 80, which it serves before it has a certificate", async () => {
  if (await cannotPebble()) return;
  await using pebble = await Pebble.start();
  await withCa(pebble, pebble.httpPort);
});

Deno.test("a relay without port 80 proves its name on its TLS port", async () => {
  if (await cannotPebble()) return;
  await using pebble = await Pebble.start();
  await withCa(pebble, undefined);
});
