/** The proxy with the project's own relay instead of a stub. */
import assert from "node:assert/strict";
import { generatePrivateKey, publicKeyOf } from "../relay/derp/mod.ts";
import { startRelay } from "../relay/mod.ts";
import { Proxy } from "./mod.ts";
import { FakeWireGuard, freePort, makeCertificate } from "./testing.ts";

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function host(relay: { host: string; port: number; address: string }, caCerts: string[]) {
  const privateKey = generatePrivateKey();
  const wireguard = new FakeWireGuard();
  const proxy = new Proxy({
    privateKey,
    wireguardPort: wireguard.port,
    port: freePort(),
    relay,
    caCerts,
  });
  await proxy.start();
  const close = async () => {
    await proxy.close();
    wireguard[Symbol.dispose]();
  };
  const open = async (key: Uint8Array) => {
    const [hostname, port] = (await proxy.addPeer(key)).split(":") as [string, string];
    return { hostname, port: Number(port) };
  };
  return { key: publicKeyOf(privateKey), wireguard, proxy, close, open };
}

Deno.test("proxies reach each other through the relay over TLS, also after its restart", async () => {
  const certificate = await makeCertificate("relay.test");
  const privateKey = generatePrivateKey();
  const config = (port: number) => ({
    addr: { hostname: "127.0.0.1", port },
    certificate,
    privateKey,
  });
  let relay = await startRelay(config(0));
  const { port } = relay.address;
  const address = { host: "relay.test", port, address: "127.0.0.1" };
  const a = await host(address, [certificate.ca]);
  const b = await host(address, [certificate.ca]);
  try {
    const connected = () => [a, b].every(({ proxy }) => proxy.status().relay.state === "connected");
    await until(connected);
    const toB = await a.open(b.key);
    const toA = await b.open(a.key);
    const exchange = async (seed: number) => {
      const packets = Array.from(
        { length: 60 },
        (_, i) => new Uint8Array(i % 4 === 0 ? 96 : 1312).fill(seed + i),
      );
      const [fromA, fromB] = [b.wireguard.got.length, a.wireguard.got.length];
      for (const [i, data] of packets.entries()) {
        await Promise.all([a.wireguard.send(data, toB), b.wireguard.send(data, toA)]);
        // No faster than a receive buffer of a runner without privileges can take.
        if (i % 20 === 19) await b.wireguard.waitFor(fromA + i + 1);
      }
      await b.wireguard.waitFor(fromA + 60);
      await a.wireguard.waitFor(fromB + 60);
      packets.forEach((data, i) => {
        assert.deepEqual(b.wireguard.got[fromA + i]!.data, data);
        assert.deepEqual(a.wireguard.got[fromB + i]!.data, data);
      });
    };
    await exchange(1);
    assert.equal(a.proxy.status().relay.serverKey, relay.publicKey);

    await relay.close();
    await until(() => !connected());
    relay = await startRelay(config(port));
    const began = performance.now();
    await until(connected);
    assert(performance.now() - began < 5000);
    await exchange(100);
    assert.equal(a.proxy.status().relay.previousServerKey, undefined);
  } finally {
    await a.close();
    await b.close();
    await relay.close();
  }
});

Deno.test("proxies reach each other through a plain relay in development", async () => {
  const relay = await startRelay({ addr: { hostname: "127.0.0.1", port: 0 } });
  const address = {
    host: "127.0.0.1",
    address: "127.0.0.1",
    port: relay.address.port,
    plain: true,
  };
  const a = await host(address, []);
  const b = await host(address, []);
  try {
    const to = await a.open(b.key);
    await b.open(a.key);
    await until(() => b.proxy.status().relay.state === "connected");
    // Sent before the login is done, maybe: it is held.
    await a.wireguard.send(new Uint8Array(148).fill(1), to);
    await b.wireguard.waitFor(1);
  } finally {
    await a.close();
    await b.close();
    await relay.close();
  }
});
