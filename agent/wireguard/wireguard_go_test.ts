import assert from "node:assert/strict";
import { generatePrivateKey, publicKeyOf } from "../../relay/derp/mod.ts";
import { checkTun } from "./linux/permission.ts";
import { findDaemon } from "./userspace/mod.ts";
import type { PeerConfig, PeerStats } from "./mod.ts";
import { obstacle, run, type TestHost, TestNet, until } from "./testing/net.ts";

const SKIP = await obstacle();

function test(name: string, body: (net: TestNet) => Promise<void>): void {
  Deno.test(name, async () => {
    // deno-lint-ignore no-console
    if (SKIP) return console.log(`skip: ${SKIP}`);
    await using net = await TestNet.create();
    await body(net);
  });
}

const KEYS = { a: generatePrivateKey(), b: generatePrivateKey() };
const PORT = 51820;

function open(host: TestHost, side: "a" | "b", listenPort = PORT): Promise<{ listenPort: number }> {
  const n = side === "a" ? 1 : 2;
  return host.call({
    call: "open",
    config: {
      name: host.device,
      privateKey: KEYS[side].toBase64(),
      listenPort,
      addresses: [`100.64.0.${n}/32`, `fd00:6e78::${n}/64`],
      mtu: 1380,
    },
  });
}

/** The other side as a peer. */
function peer(side: "a" | "b", endpoint?: string, more: string[] = []): PeerConfig {
  const n = side === "a" ? 1 : 2;
  return {
    publicKey: publicKeyOf(KEYS[side]).toBase64(),
    ...(endpoint !== undefined && { endpoint }),
    allowedIps: [`100.64.0.${n}/32`, `fd00:6e78::${n}/128`, ...more],
    keepaliveSeconds: 20,
  };
}

const setPeers = (host: TestHost, ...peers: PeerConfig[]) => host.call({ call: "setPeers", peers });
const stats = (host: TestHost) => host.call<PeerStats[]>({ call: "stats" });
const ping = async (host: TestHost, address: string) =>
  (await host.run("ping", "-c1", "-W2", address)).code === 0;
const routes = async (host: TestHost) => {
  const v4 = await host.run("ip", "route", "show", "dev", host.device);
  const v6 = await host.run("ip", "-6", "route", "show", "dev", host.device, "proto", "boot");
  return (v4.stdout + v6.stdout).split("\n").map((line) => line.split(" ")[0]).filter(Boolean);
};

test("wireguard-go carries traffic both ways and leaves nothing when closed", async ({ a, b }) => {
  assert.deepEqual(await open(a, "a"), { listenPort: PORT });
  const { listenPort } = await open(b, "b", 0);
  assert.ok(listenPort > 0);
  await setPeers(b, peer("a"));
  await setPeers(a, peer("b", `${b.address}:${listenPort}`));
  // The keepalive's first step sends the handshake: nobody has spoken yet.
  await until(async () => (await stats(b))[0]?.lastHandshake, "a handshake without traffic");
  assert.ok(await ping(a, "100.64.0.2"));
  assert.ok(await ping(b, "fd00:6e78::1"));
  const [seen] = await stats(b);
  assert.equal(seen!.endpoint, `${a.address}:${PORT}`);
  assert.ok(seen!.rxBytes > 0 && seen!.txBytes > 0);
  assert.deepEqual(seen!.allowedIps, ["100.64.0.1/32", "fd00:6e78::1/128"]);

  const link = (await a.run("ip", "link", "show", a.device)).stdout;
  assert.match(link, /mtu 1380/);
  assert.match((await a.run("ip", "link", "show", "lo")).stdout, /<LOOPBACK,UP/);
  for (const host of [a, b]) {
    await host.call({ call: "close" });
    await host.call({ call: "close" });
    assert.notEqual((await host.run("ip", "link", "show", host.device)).code, 0);
    assert.deepEqual(await host.daemons(), []);
    await assert.rejects(Deno.stat(`/run/wireguard/${host.device}.sock`), Deno.errors.NotFound);
    await assert.rejects(Deno.stat(`/run/nexd/${host.device}.json`), Deno.errors.NotFound);
    await assert.rejects(stats(host), /is closed/);
  }
});

test("wireguard-go keeps the session when the endpoint changes", async ({ a, b }) => {
  await open(a, "a");
  await open(b, "b");
  await b.run("ip", "address", "add", "192.0.2.20/24", "dev", "eth0");
  await setPeers(b, peer("a", `${a.address}:${PORT}`));
  await setPeers(a, peer("b", `${b.address}:${PORT}`));
  await until(() => ping(a, "100.64.0.2"), "a first ping");
  const [before] = await stats(a);

  // The same set again: not a byte, and the counters prove it.
  await setPeers(a, peer("b", `${b.address}:${PORT}`));
  assert.equal((await stats(a))[0]!.txBytes, before!.txBytes);

  await setPeers(a, peer("b", `192.0.2.20:${PORT}`));
  const [moved] = await stats(a);
  assert.equal(moved!.endpoint, `192.0.2.20:${PORT}`);
  assert.equal(moved!.lastHandshake, before!.lastHandshake);
  await until(
    async () => (await stats(a))[0]!.txBytes > before!.txBytes,
    "a keepalive on the new path",
  );
  assert.ok(await ping(a, "100.64.0.2"));
  assert.equal((await stats(a))[0]!.lastHandshake, before!.lastHandshake);
});

test("wireguard-go routes follow the allowed IPs and touch no other route", async ({ a }) => {
  await open(a, "a");
  await a.run("ip", "route", "add", "10.9.0.0/16", "dev", "eth0");
  await setPeers(a, peer("b", undefined, ["10.8.0.0/16", "10.9.0.0/16", "0.0.0.0/0", "bad"]));
  assert.deepEqual(await routes(a), ["10.8.0.0/16", "100.64.0.2", "fd00:6e78::2"]);
  assert.match((await a.run("ip", "route", "show", "10.9.0.0/16")).stdout, /dev eth0/);
  const [set] = await stats(a);
  assert.equal(set!.allowedIps.includes("0.0.0.0/0"), false);

  await setPeers(a, peer("b", undefined, ["10.8.1.0/24"]));
  assert.deepEqual(await routes(a), ["10.8.1.0/24", "100.64.0.2", "fd00:6e78::2"]);
  assert.deepEqual((await stats(a))[0]!.allowedIps.sort(), [
    "10.8.1.0/24",
    "100.64.0.2/32",
    "fd00:6e78::2/128",
  ]);
  await setPeers(a);
  assert.deepEqual(await routes(a), []);
  assert.deepEqual(await stats(a), []);
  assert.match((await a.run("ip", "route", "show", "10.9.0.0/16")).stdout, /dev eth0/);
});

test("wireguard-go goes without IPv6 where it is disabled", async ({ a }) => {
  const conf = "/proc/sys/net/ipv6/conf";
  const { code, stderr } = await a.run(
    "sh",
    "-c",
    `echo 1 >${conf}/all/disable_ipv6 && echo 1 >${conf}/default/disable_ipv6`,
  );
  assert.equal(code, 0, stderr);
  await open(a, "a");
  await setPeers(a, peer("b"));
  assert.deepEqual(await routes(a), ["100.64.0.2"]);
});

test("wireguard-go tells at once when its daemon is killed, and opens again", async ({ a }) => {
  await open(a, "a");
  Deno.kill((await a.daemons())[0]!, "SIGKILL");
  assert.match(String((await a.next()).exited), /wireguard-go ended \(signal SIGKILL\)/);
  await assert.rejects(stats(a), /wireguard-go ended/);
  await a.call({ call: "close" });
  await open(a, "a");
  await a.call({ call: "close" });
});

test("wireguard-go cleans up after a crashed agent, and only then", async ({ a }) => {
  await open(a, "a");
  const [daemon] = await a.daemons();
  await assert.rejects(
    a.call({ call: "cleanLeftover", name: a.device }),
    /belongs to a running nexd/,
  );
  await a.end("crash");
  assert.deepEqual(await a.daemons(), [daemon]);
  a.start();
  assert.equal(await a.call({ call: "cleanLeftover", name: a.device }), true);
  assert.deepEqual(await a.daemons(), []);
  assert.notEqual((await a.run("ip", "link", "show", a.device)).code, 0);
  assert.equal(await a.call({ call: "cleanLeftover", name: a.device }), false);

  // Opening cleans by itself.
  await open(a, "a");
  await a.end("crash");
  a.start();
  await open(a, "a");
  assert.equal((await a.daemons()).length, 1);
  await a.call({ call: "close" });
});

test("wireguard-go refuses a name or port that is taken", async ({ a, b }) => {
  await a.run("ip", "link", "add", a.device, "type", "veth");
  await assert.rejects(open(a, "a"), /it exists and is not nexd's; .*ip link delete/);
  assert.equal((await a.run("ip", "link", "show", a.device)).code, 0);
  await a.run("ip", "link", "delete", a.device);

  await open(b, "b");
  await assert.rejects(
    b.call({
      call: "open",
      config: {
        name: a.device,
        privateKey: KEYS.a.toBase64(),
        listenPort: PORT,
        addresses: [],
        mtu: 1380,
      },
    }),
    new RegExp(`UDP port ${PORT}: port in use`),
  );
  assert.notEqual((await b.run("ip", "link", "show", a.device)).code, 0);

  // The control sockets of all namespaces lie in one directory.
  await assert.rejects(
    a.call({
      call: "open",
      config: {
        name: b.device,
        privateKey: KEYS.a.toBase64(),
        listenPort: 0,
        addresses: [],
        mtu: 1380,
      },
    }),
    /another WireGuard daemon answers|belongs to a running nexd/,
  );
  assert.equal((await b.daemons()).length, 1);
});

Deno.test("wireguard-go says what is missing on the host and how to get it", async () => {
  await assert.rejects(findDaemon("/nonexistent:"), {
    exitCode: 1,
    message: /wireguard-go is not in PATH; run apt-get install wireguard-go/,
  });
  if (SKIP) return;
  const tun = "/dev/nexd-no-such-tun";
  await assert.rejects(checkTun(tun), /Cannot open .*does not exist; run modprobe tun/);
});

Deno.test("wireguard-go refuses to start without the permission for it", async () => {
  // deno-lint-ignore no-console
  if (SKIP) return console.log(`skip: ${SKIP}`);
  const code = `import { checkPermission } from "${new URL(
    "./linux/permission.ts",
    import.meta.url,
  )}";
    await checkPermission("wg0").catch((error) => Deno.stdout.write(new TextEncoder().encode(error.message)));`;
  const { stdout, stderr } = await run([
    "setpriv",
    "--bounding-set",
    "-net_admin",
    "--inh-caps",
    "-net_admin",
    Deno.execPath(),
    "eval",
    code,
  ]);
  assert.match(stdout, /interface wg0: no permission .*run nexd as root/, stderr);
});
