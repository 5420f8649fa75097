import assert from "node:assert/strict";
import { makeCertificate, StubRelay } from "../testing.ts";
import { dial } from "./dial.ts";

Deno.test("a relay with an authority of its own is verified with that one alone", async () => {
  const own = await makeCertificate("relay.test"), other = await makeCertificate("relay.test");
  const signal = new AbortController().signal;
  await using relay = new StubRelay({ tls: own });
  const at = (ca: string[], host = "relay.test") => ({
    host,
    port: relay.port,
    address: "127.0.0.1",
    ca,
  });
  for (const ca of [[own.ca], [other.ca, own.ca]]) {
    (await dial(at(ca), { signal })).close();
  }
  const refused = /relay\.test:\d+: its certificate is not signed by the authority it published/;
  await assert.rejects(dial(at([other.ca]), { signal }), { message: refused });
  // What else is trusted does not count, as a public authority would not.
  for (const ca of [[other.ca], []]) {
    await assert.rejects(dial(at(ca), { signal, caCerts: [own.ca] }), { message: refused });
  }
  await assert.rejects(dial(at([own.ca], "other.test"), { signal }), {
    message: /not for the name/,
  });
  // And it is trusted for this relay only.
  await assert.rejects(dial({ ...at([]), ca: undefined } as never, { signal }), {
    message: /not signed by a known authority; give the relay's CA file/,
  });
});

Deno.test("a relay's own authority counts for nothing when it did not sign, whatever the roots say", async () => {
  const own = await makeCertificate("relay.test"), other = await makeCertificate("relay.test");
  const signal = new AbortController().signal;
  await using relay = new StubRelay({ tls: own });
  // Both are roots of this connection for the handshake; only the second check tells them apart.
  const { signedBy } = await import("./issuer.ts");
  const conn = await dial(
    { host: "relay.test", port: relay.port, address: "127.0.0.1" },
    { signal, caCerts: [own.ca, other.ca] },
  ) as Deno.TlsConn;
  try {
    assert.equal(signedBy(conn, [own.ca]), true);
    assert.equal(signedBy(conn, [other.ca]), false);
    assert.equal(signedBy(conn, [own.cert]), false, "a leaf signs nothing");
    assert.equal(signedBy(conn, []), false);
  } finally {
    conn.close();
  }
});
