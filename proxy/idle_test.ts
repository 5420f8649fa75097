import assert from "node:assert/strict";
import { generatePrivateKey, keyToBase64, publicKeyOf } from "../relay/derp/mod.ts";
import { message } from "./handshakes/testing.ts";
import { Proxy } from "./mod.ts";
import { FakeWireGuard, freePort, StubRelay } from "./testing.ts";

Deno.test("proxy sends keepalives that nothing follows, and tells who is there", async () => {
  await using relay = new StubRelay();
  const hosts = await Promise.all([1, 2].map(async () => {
    const privateKey = generatePrivateKey(), wireguard = new FakeWireGuard();
    const proxy = new Proxy({
      ...{ privateKey, wireguardPort: wireguard.port, port: freePort() },
      relay: { host: "127.0.0.1", port: relay.port, plain: true },
    });
    await proxy.start();
    return { proxy, wireguard, key: publicKeyOf(privateKey) };
  }));
  const [a, b] = hosts as [typeof hosts[0], typeof hosts[0]];
  await relay.until(() => relay.clients.length === 2);
  const changed = Promise.withResolvers<void>();
  b.proxy.onChange = () => {
    if (b.proxy.present.size > 0) changed.resolve();
  };
  const [toB = ""] = (await a.proxy.addPeer(b.key)).split(":");
  await b.proxy.addPeer(a.key);
  const [, port = ""] = (await a.proxy.addPeer(b.key)).split(":");
  for (let i = 1; i <= 3; i++) {
    await a.wireguard.send(message(4, i), { hostname: toB, port: Number(port) });
  }
  await b.wireguard.waitFor(3);
  assert.deepEqual(b.wireguard.got.map(({ data }) => data), [1, 2, 3].map((i) => message(4, i)));
  await changed.promise;
  assert.deepEqual([...b.proxy.present], [keyToBase64(a.key)]);
  assert.equal(b.proxy.home, "127.0.0.1");
  assert(b.proxy.homeSince! > 0);
  await b.proxy.removePeer(a.key);
  assert.deepEqual([...b.proxy.present], []);
  for (const { proxy, wireguard } of hosts) {
    await proxy.close();
    wireguard[Symbol.dispose]();
  }
});
