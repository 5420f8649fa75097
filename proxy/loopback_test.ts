import assert from "node:assert/strict";
import { generatePrivateKey } from "../relay/derp/mod.ts";
import { type LoopbackAddresses, Proxy, ProxyError } from "./mod.ts";
import { freePort } from "./testing.ts";

/** A system that has no loopback addresses but those that were added. */
class Loopback implements LoopbackAddresses {
  readonly log: string[] = [];
  /** Added ones wait for it. */
  gate: Promise<void> = Promise.resolve();
  refusal: Error | undefined;

  async add(address: string): Promise<void> {
    this.log.push(`+${address}`);
    await this.gate;
    if (this.refusal !== undefined) throw this.refusal;
  }

  remove(address: string): Promise<void> {
    this.log.push(`-${address}`);
    return Promise.resolve();
  }
}

function open(loopback: Loopback): { proxy: Proxy; port: number } & AsyncDisposable {
  const port = freePort();
  const proxy = new Proxy({
    privateKey: generatePrivateKey(),
    wireguardPort: freePort(),
    port,
    relay: { host: "127.0.0.1", port: 1, plain: true },
    loopback,
  });
  return { proxy, port, [Symbol.asyncDispose]: () => proxy.close() };
}

Deno.test("proxy makes a peer's address usable first and gives it up last", async () => {
  const loopback = new Loopback();
  await using host = open(loopback);
  const key = generatePrivateKey();
  assert.equal(await host.proxy.addPeer(key), `127.0.0.3:${host.port}`);
  assert.equal(await host.proxy.addPeer(key), `127.0.0.3:${host.port}`);
  await host.proxy.removePeer(key);
  await host.proxy.removePeer(key);
  assert.deepEqual(loopback.log, ["+127.0.0.3", "-127.0.0.3"]);
});

Deno.test("proxy gives up an address that another program has, and takes the next", async () => {
  const loopback = new Loopback();
  await using host = open(loopback);
  const other = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.3", port: host.port });
  assert.equal(await host.proxy.addPeer(generatePrivateKey()), `127.0.0.4:${host.port}`);
  other.close();
  assert.deepEqual(loopback.log, ["+127.0.0.3", "-127.0.0.3", "+127.0.0.4"]);
});

Deno.test("proxy adds a peer once, removes one that is being added, and adds none once it is closed", async () => {
  const loopback = new Loopback();
  await using host = open(loopback);
  const { proxy } = host;
  const key = generatePrivateKey();
  let pass = Promise.withResolvers<void>();
  loopback.gate = pass.promise;
  const twice = [proxy.addPeer(key), proxy.addPeer(key)];
  const removed = proxy.removePeer(key);
  pass.resolve();
  assert.deepEqual(await Promise.all(twice), Array(2).fill(`127.0.0.3:${host.port}`));
  await removed;
  assert.deepEqual(proxy.status().peers, []);
  assert.deepEqual(loopback.log, ["+127.0.0.3", "-127.0.0.3"]);

  pass = Promise.withResolvers();
  loopback.gate = pass.promise;
  const late = assert.rejects(proxy.addPeer(key), ProxyError);
  await proxy.close();
  pass.resolve();
  await late;
  assert.equal(loopback.log.at(-1), "-127.0.0.3");
});

Deno.test("proxy says why an address cannot be had", async () => {
  const loopback = new Loopback();
  await using host = open(loopback);
  loopback.refusal = new Error("Cannot add 127.0.0.3 to lo0: not permitted");
  await assert.rejects(host.proxy.addPeer(generatePrivateKey()), /127\.0\.0\.3.*not permitted/);
  assert.deepEqual(host.proxy.status().peers, []);
});
