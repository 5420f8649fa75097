import { deepEqual, equal, ok } from "node:assert/strict";
import { generatePrivateKey, publicKeyOf } from "../relay/derp/mod.ts";
import { Proxy } from "../proxy/mod.ts";
import { FakeWireGuard, freePort } from "../proxy/testing.ts";
import { RelayFiles, RelayProcess } from "./relay_process.ts";
import { pause } from "./support.ts";
import { underLoad } from "../scripts/lab/support.ts";

/** A host whose WireGuard is a plain socket. */
async function host(relay: RelayProcess) {
  const privateKey = generatePrivateKey();
  const wireguard = new FakeWireGuard();
  const proxy = new Proxy({
    privateKey,
    wireguardPort: wireguard.port,
    port: freePort(),
    relay: { host: "localhost", address: "127.0.0.1", port: relay.port },
    caCerts: [await Deno.readTextFile(relay.said.ca!)],
  });
  await proxy.start();
  return { key: publicKeyOf(privateKey), wireguard, proxy };
}

type Host = Awaited<ReturnType<typeof host>>;

async function endpoint(from: Host, to: Host) {
  const [hostname, port] = (await from.proxy.addPeer(to.key)).split(":") as [string, string];
  return { hostname, port: Number(port) };
}

async function until(condition: () => boolean, what: string, ms = 15_000): Promise<void> {
  for (const end = performance.now() + ms; !condition(); await pause(5)) {
    ok(performance.now() < end, `no longer waiting for ${what}`);
  }
}

/** Sends numbered packets `[number, 1300 bytes]`: one each 10 ms, or bursts of 16. */
function traffic(from: Host, to: { hostname: string; port: number }, burst: number) {
  let sent = 0;
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      for (let i = 0; i < burst; i++) {
        const data = new Uint8Array(1300);
        new DataView(data.buffer).setUint32(0, sent++);
        await from.wireguard.send(data, to).catch(() => stopped = true); // the test failed
      }
      await pause(10);
    }
  })();
  return async () => {
    stopped = true;
    await done;
    return sent;
  };
}

/** Waits until nothing has come for a second: a busy machine takes its time for what is on its way. */
async function quiet(hosts: Host[]): Promise<void> {
  const all = () => hosts.reduce((sum, { wireguard }) => sum + wireguard.got.length, 0);
  for (let before = -1; before !== all();) {
    before = all();
    await pause(1_000);
  }
}

function numbers({ wireguard }: Host): Set<number> {
  return new Set(wireguard.got.map(({ data }) => new DataView(data.buffer).getUint32(0)));
}

for (const workers of [1, 2]) {
  Deno.test(`an upgrade under load loses no packet with ${workers} worker processes`, async () => {
    await using files = await RelayFiles.make();
    const flags = ["--workers", String(workers)];
    await using old = await RelayProcess.start(files, flags);
    const hosts = await Promise.all([old, old, old, old].map(host));
    const [a, b, c, d] = hosts as [Host, Host, Host, Host];
    try {
      const connected = () =>
        hosts.every(({ proxy }) => proxy.status().relay.state === "connected");
      await until(connected, "the relay");
      const steady = traffic(a, await endpoint(a, b), 1);
      await endpoint(b, a);
      const bulk = traffic(c, await endpoint(c, d), 16);
      await endpoint(d, c);
      await until(() => b.wireguard.got.length > 50 && d.wireguard.got.length > 500, "traffic");

      const port = ["--addr", `127.0.0.1:${old.port}`];
      await using young = await RelayProcess.start(files, [...flags, ...port]);
      equal(young.said.replaces, true);
      const began = performance.now();
      old.kill("SIGTERM");
      equal((await old.ended()).code, 0, old.log);
      ok(
        performance.now() - began < underLoad(5_000),
        "it does not wait for more than its clients",
      );
      ok(/Restart announced to 4 clients/.test(old.log), old.log);
      ok(/Restart done; 0 clients did not leave/.test(old.log), old.log);
      await until(connected, "the replacement");
      const [fromB, fromD] = [b.wireguard.got.length, d.wireguard.got.length];
      await until(() => b.wireguard.got.length > fromB + 50, "traffic after it");
      await until(() => d.wireguard.got.length > fromD + 500, "traffic after it");

      for (const { proxy } of hosts) equal(proxy.status().relay.reconnects, 1);

      const [sentSteady, sentBulk] = [await steady(), await bulk()];
      await quiet(hosts);
      const lost = [sentSteady - numbers(b).size, sentBulk - numbers(d).size];
      const where = JSON.stringify(hosts.map(({ proxy }) => proxy.status().drops));
      young.kill("SIGTERM");
      await young.ended();
      const seen = `hosts: ${where}; relays: ${old.log}\n${young.log}`;
      deepEqual(lost, [0, 0], `of ${sentSteady} and ${sentBulk}; ${seen}`);
    } finally {
      for (const { proxy, wireguard } of hosts) {
        await proxy.close();
        wireguard[Symbol.dispose]();
      }
    }
  });
}

Deno.test("clients are back within 2 s when a relay is killed and started again", async () => {
  await using files = await RelayFiles.make();
  await using old = await RelayProcess.start(files, ["--workers", "1"]);
  const hosts = await Promise.all([old, old].map(host));
  try {
    const connected = () => hosts.every(({ proxy }) => proxy.status().relay.state === "connected");
    await until(connected, "the relay");
    old.kill("SIGKILL");
    await old.ended();
    await until(() => !connected(), "the end");
    const port = ["--addr", `127.0.0.1:${old.port}`];
    await using young = await RelayProcess.start(files, ["--workers", "1", ...port]);
    equal(young.said.replaces, false);
    await until(connected, "the relay's return", 2_000);
  } finally {
    for (const { proxy, wireguard } of hosts) {
      await proxy.close();
      wireguard[Symbol.dispose]();
    }
  }
});
