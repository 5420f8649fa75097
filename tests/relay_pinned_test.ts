/** A relay known by its address and by the digest of its certificate (DERP: `sha256-raw:`). */
import { equal, match } from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import tls from "node:tls";
import { openManual } from "../relay/cert/mod.ts";
import { startRelay } from "../relay/mod.ts";

Deno.test("a relay that is an IP address serves who asks for no name, by its pin", async () => {
  const directory = await Deno.makeTempDir({ prefix: "nexd-pinned-" });
  try {
    await using source = await openManual({ directory, hostname: "127.0.0.1", watch: false });
    const relay = await startRelay({ addr: { hostname: "127.0.0.1", port: 0 }, source });
    try {
      // An IP address is never sent as the name in the handshake, so none is.
      const socket = tls.connect({
        host: "127.0.0.1",
        port: relay.address.port,
        rejectUnauthorized: false,
      });
      await once(socket, "secureConnect");
      const { raw } = socket.getPeerCertificate();
      equal(
        `sha256-raw:${createHash("sha256").update(raw).digest("hex")}`,
        source.status().pinned,
      );
      socket.write("GET /derp/probe HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
      const [answer] = await once(socket, "data");
      match(String(answer), /^HTTP\/1\.1 200 /);
      const closed = once(socket, "close");
      socket.destroy();
      await closed;
    } finally {
      await relay.close();
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
