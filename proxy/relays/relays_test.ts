/** Proxies with several relays. */
import assert from "node:assert/strict";
import { generatePrivateKey, keyToBase64, publicKeyOf } from "../../relay/derp/mod.ts";
import { message } from "../handshakes/testing.ts";
import { Proxy, type ProxyStatus, type RelayAddress } from "../mod.ts";
import { FakeWireGuard, freePort, StubRelay } from "../testing.ts";
import { underLoad } from "../../scripts/lab/support.ts";

const ONE = 901, OTHER = 900;

function at(port: number, region = ONE): RelayAddress {
  return { region, host: "127.0.0.1", port, plain: true };
}

/** A host that knows these relays. */
class Host implements AsyncDisposable {
  readonly key: Uint8Array;
  readonly wireguard = new FakeWireGuard();
  readonly proxy: Proxy;

  constructor(...relays: [RelayAddress, ...RelayAddress[]]) {
    const privateKey = generatePrivateKey();
    this.key = publicKeyOf(privateKey);
    this.proxy = new Proxy({
      ...{ privateKey, wireguardPort: this.wireguard.port, port: freePort() },
      relay: relays[0],
    });
    this.proxy.setRelays(relays);
    void this.proxy.start();
  }

  async until(
    what: string,
    holds: (status: ProxyStatus) => boolean,
    limit = 10_000,
  ): Promise<ProxyStatus> {
    for (const end = performance.now() + limit;;) {
      const status = this.proxy.status();
      if (holds(status)) return status;
      if (performance.now() > end) throw new Error(`${what}: ${Deno.inspect(status)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  home(port: number): Promise<ProxyStatus> {
    return this.until(
      `home ${port}`,
      ({ relay }) => relay.port === port && relay.state === "connected",
    );
  }

  async add(peer: { key: Uint8Array }): Promise<{ hostname: string; port: number }> {
    const [hostname, port] = (await this.proxy.addPeer(peer.key)).split(":") as [string, string];
    return { hostname, port: Number(port) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy.close();
    this.wireguard[Symbol.dispose]();
  }
}

Deno.test("proxy is at home at the nearest of relays that are alike, and leaves the other one", async () => {
  await using far = new StubRelay({ pongMs: 120 });
  await using near = new StubRelay();
  await using spare = new StubRelay();
  await using a = new Host(at(far.port), at(near.port), at(spare.port, OTHER));
  const { relays } = await a.home(near.port);
  assert.deepEqual(relays.map(({ role, reason }) => [role, reason]).slice(1), [
    ["home", "nearest"],
    ["idle", undefined],
  ]);
  assert(relays[0]!.rttMs! > 100 && relays[1]!.rttMs! < 100);
  await a.until("far left", () => far.clients.length === 0);
  assert.equal(spare.logins, 0);
});

Deno.test("proxy repeats a handshake where the peer is found, without waiting for WireGuard's next try", async () => {
  await using first = new StubRelay();
  await using second = new StubRelay();
  await using a = new Host(at(first.port), at(second.port, OTHER));
  await using b = new Host(at(second.port, OTHER));
  await a.home(first.port);
  await b.home(second.port);
  const toB = await a.add(b);
  await b.add(a);
  const began = performance.now();
  await a.wireguard.send(message(1, 7), toB);
  await b.wireguard.waitFor(1);
  assert(performance.now() - began < underLoad(2_000));
  assert.deepEqual(b.wireguard.got[0]!.data, message(1, 7));
  const { peers, relay } = await a.until("found", ({ peers }) => peers[0]!.relay !== undefined);
  assert.equal(peers[0]!.publicKey, keyToBase64(b.key));
  assert.equal(relay.port, first.port);
  // Answers take the same way.
  await b.wireguard.send(message(2, 8, 7), await b.add(a));
  await a.wireguard.waitFor(1);
  assert.deepEqual(b.proxy.status().drops.unknown_peer, 0);
});

Deno.test("proxy falls back within seconds when its relay answers nothing any more, and returns", async () => {
  const behaviour = { passive: false };
  await using first = new StubRelay(behaviour);
  await using second = new StubRelay();
  await using a = new Host(at(first.port), at(second.port, OTHER));
  const to = await a.add({ key: publicKeyOf(generatePrivateKey()) });
  await a.home(first.port);
  behaviour.passive = true;
  const began = performance.now();
  const sending = setInterval(() => void a.wireguard.send(new Uint8Array(100).fill(4), to), 10);
  await a.home(second.port);
  clearInterval(sending);
  assert(performance.now() - began < underLoad(6_000));
  behaviour.passive = false;
  await a.until("back", ({ relay }) => relay.port === first.port, 20_000);
});

Deno.test("proxy makes connections anew that died with this host's address", async () => {
  await using relay = new StubRelay();
  // What stands between: connections of before the move go nowhere.
  let moved = false;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns: Deno.Conn[] = [];
  const between = (async () => {
    for await (const conn of listener) {
      const inside = await Deno.connect({ hostname: "127.0.0.1", port: relay.port });
      conns.push(conn, inside);
      const late = moved;
      const pass = async (from: Deno.Conn, to: Deno.Conn) => {
        const buf = new Uint8Array(65_536);
        for (let n; (n = await from.read(buf)) !== null;) {
          if (moved === late) await to.write(buf.subarray(0, n));
        }
      };
      void pass(conn, inside).catch(() => {});
      void pass(inside, conn).catch(() => {});
    }
  })();
  {
    await using a = new Host(at(listener.addr.port));
    const to = await a.add({ key: publicKeyOf(generatePrivateKey()) });
    await a.until("answers", ({ relay }) => relay.rttMs !== undefined);
    a.proxy.moved();
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(relay.logins, 1, "what answers is kept");
    moved = true;
    a.proxy.moved();
    const began = performance.now();
    await relay.until(() => relay.logins === 2);
    assert(performance.now() - began < underLoad(1_000));
    await a.until("connected anew", ({ relay }) => relay.reconnects === 1);
    await a.wireguard.send(new Uint8Array(100).fill(4), to);
    await relay.until(() => relay.packets().length === 1);
  }
  listener.close();
  for (const conn of conns) {
    try {
      conn.close();
    } catch { /* was closed */ }
  }
  await between;
});
