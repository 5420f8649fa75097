import assert from "node:assert/strict";
import { skip } from "../../scripts/lab/support.ts";
import { connectionFds, hangUp } from "./hang_up.ts";
import { getSocketOption, setNotSentLimit, socketFds } from "./sockets.ts";

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`hangUp ends just the connections that are named, over ${hostname}`, async () => {
    if (socketFds().size === 0) return skip("no FFI, or not Linux");
    using listener = Deno.listen({ hostname: hostname === "::1" ? "::" : hostname, port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const open = async (to: string) => {
      const client = await Deno.connect({ hostname: to, port });
      const server = await listener.accept();
      return { client, server, peer: server.remoteAddr as Deno.NetAddr };
    };
    const stays = await open(hostname);
    const goes = await open(hostname);
    // On a dual-stack socket an IPv4 client has a mapped address.
    const mapped = hostname === "::1" ? await open("127.0.0.1") : undefined;
    const ended = [goes, ...mapped === undefined ? [] : [mapped]];
    assert.equal(hangUp(port + 1, ended.map(({ peer }) => peer)), 0, "another port");
    assert.equal(hangUp(port, [{ ...goes.peer, hostname: "2001:db8::1" }]), 0, "another address");
    assert.equal(hangUp(port, ended.map(({ peer }) => peer)), ended.length);
    for (const { client } of ended) assert.equal(await client.read(new Uint8Array(1)), null);
    await stays.client.write(Uint8Array.of(7));
    assert.equal(await stays.server.read(new Uint8Array(1)), 1);
    for (const { client, server } of [stays, ...ended]) {
      client.close();
      server.close();
    }
  });
}

Deno.test("a connection is found by its ends, and holds no more unsent than it is told to", async () => {
  if (socketFds().size === 0) return skip("no FFI, or not Linux");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using accepted = await listener.accept();
  const found = [...connectionFds(conn.localAddr.port, [conn.remoteAddr])];
  assert.equal(found.length, 1);
  assert(setNotSentLimit(found[0]!, 16_384));
  assert.equal(getSocketOption(found[0]!, 6, 25), 16_384);
  assert.deepEqual([...connectionFds(conn.localAddr.port, [accepted.localAddr])], found);
  assert.deepEqual([...connectionFds(1, [conn.remoteAddr])], []);
});
