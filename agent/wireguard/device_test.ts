import assert from "node:assert/strict";
import { generatePrivateKey, publicKeyOf } from "../../relay/derp/mod.ts";
import { checkTun } from "./linux/permission.ts";
import { findDaemon } from "./userspace/mod.ts";
import type { PeerConfig, PeerStats } from "./mod.ts";
import type { HostCall } from "./testing/host.ts";
import { type Driver, obstacle, run, type TestHost, TestNet, until } from "./testing/net.ts";
import { underLoad } from "../../scripts/lab/support.ts";

const DRIVERS: Driver[] = ["wireguard-go", "kernel"];
const SKIP = new Map<Driver, string | undefined>();
for (const driver of DRIVERS) SKIP.set(driver, await obstacle(driver));

interface Bench extends Pick<TestNet, "a" | "b"> {
  driver: Driver;
  open(host: TestHost, side: "a" | "b", change?: Partial<Settings>): Promise<Opened>;
}

/** Defines a test for each driver. */
function test(
  name: string,
  body: (bench: Bench) => Promise<void>,
  drivers: Driver[] = DRIVERS,
): void {
  for (const driver of drivers) {
    Deno.test(`${driver} ${name}`, async () => {
      const reason = SKIP.get(driver);
      // deno-lint-ignore no-console
      if (reason) return console.log(`skip: ${reason}`);
      await using net = await TestNet.create();
      const { a, b } = net;
      await body({ a, b, driver, open: (host, side, more) => open(driver, host, side, more) });
    });
  }
}

const KEYS = { a: generatePrivateKey(), b: generatePrivateKey() };
const PORT = 51820;

type Settings = Extract<HostCall, { call: "open" }>["config"];
interface Opened {
  listenPort: number;
  driver: string;
}

function open(
  driver: Driver | "auto",
  host: TestHost,
  side: "a" | "b",
  change: Partial<Settings> = {},
): Promise<Opened> {
  const n = side === "a" ? 1 : 2;
  return host.call({
    call: "open",
    config: {
      name: host.device,
      privateKey: KEYS[side].toBase64(),
      listenPort: PORT,
      addresses: [`100.64.0.${n}/32`, `fd00:6e78::${n}/64`],
      mtu: 1380,
      driver,
      ...change,
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

test("carries traffic both ways and leaves nothing when closed", async ({ open, driver, a, b }) => {
  assert.deepEqual(await open(a, "a"), { listenPort: PORT, driver });
  const { listenPort } = await open(b, "b", { listenPort: 0 });
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

test("keeps the session when the endpoint changes", async ({ open, a, b }) => {
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

test("makes the session anew when told, and keeps its traffic by it", async ({ open, a, b }) => {
  await open(a, "a");
  await open(b, "b");
  await setPeers(b, peer("a", `${a.address}:${PORT}`));
  await setPeers(a, peer("b", `${b.address}:${PORT}`));
  await until(() => ping(a, "100.64.0.2"), "a first ping");
  // The other side forgets, and does not speak first.
  await setPeers(b);
  const { endpoint: _, ...waiting } = peer("a", "");
  await setPeers(b, { ...waiting, keepaliveSeconds: 0 });
  assert.equal(await ping(a, "100.64.0.2"), false);
  await setPeers(a, { ...peer("b", `${b.address}:${PORT}`), session: 1 });
  await until(async () => (await stats(a))[0]!.lastHandshake !== undefined, "a handshake");
  assert.ok(await ping(a, "100.64.0.2"));
});

test("routes follow the allowed IPs and touch no other route", async ({ open, a }) => {
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
  // One more does not cost the others.
  await setPeers(a, peer("b", undefined, ["10.8.1.0/24", "10.8.2.0/24"]));
  assert.deepEqual((await stats(a))[0]!.allowedIps.sort(), [
    "10.8.1.0/24",
    "10.8.2.0/24",
    "100.64.0.2/32",
    "fd00:6e78::2/128",
  ]);
  await setPeers(a);
  assert.deepEqual(await routes(a), []);
  assert.deepEqual(await stats(a), []);
  assert.match((await a.run("ip", "route", "show", "10.9.0.0/16")).stdout, /dev eth0/);
});

test("goes without IPv6 where it is disabled", async ({ open, a }) => {
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

test("tells at once when its daemon is killed, and opens again", async ({ open, a }) => {
  await open(a, "a");
  Deno.kill((await a.daemons())[0]!, "SIGKILL");
  assert.match(String((await a.next()).exited), /wireguard-go ended \(signal SIGKILL\)/);
  await assert.rejects(stats(a), /wireguard-go ended/);
  await a.call({ call: "close" });
  await open(a, "a");
  await a.call({ call: "close" });
}, ["wireguard-go"]);

test("tells within two seconds when its interface is removed by hand", async ({ open, a, b }) => {
  await open(a, "a");
  await open(b, "b");
  const since = Date.now();
  await a.run("ip", "link", "delete", "dev", a.device);
  assert.match(String((await a.next()).exited), /was removed|wireguard-go ended/);
  assert.ok(Date.now() - since < underLoad(2000), `${Date.now() - since} ms`);
  // An interface that takes its name is not ours.
  await a.run("ip", "link", "add", a.device, "type", "veth");
  await a.call({ call: "close" });
  assert.equal((await a.run("ip", "link", "show", a.device)).code, 0);
  await a.run("ip", "link", "delete", a.device);
  await open(a, "a");
  await setPeers(b, peer("a"));
  await setPeers(a, peer("b", `${b.address}:${PORT}`));
  assert.ok(await until(() => ping(a, "100.64.0.2"), "a ping through the new interface"));
});

test("sets its peers again when others changed them", async ({ open, a }) => {
  await open(a, "a");
  await setPeers(a, peer("b", "192.0.2.2:1000"));
  const key = publicKeyOf(KEYS.b).toBase64();
  assert.equal((await a.run("wg", "set", a.device, "peer", key, "remove")).code, 0);
  assert.deepEqual(await stats(a), []);
  await setPeers(a, peer("b", "192.0.2.2:1000"));
  assert.deepEqual((await stats(a))[0]?.allowedIps, ["100.64.0.2/32", "fd00:6e78::2/128"]);
  const foreign = generatePrivateKey().toBase64();
  await a.run("wg", "set", a.device, "peer", foreign, "allowed-ips", "10.0.0.0/8");
  assert.equal((await stats(a)).length, 2);
  await setPeers(a, peer("b", "192.0.2.2:1000"));
  assert.deepEqual((await stats(a)).map((row) => row.publicKey), [key]);
});

test("marks its own packets, and routes no more than it is told", async ({ open, a, b }) => {
  await open(a, "a", { mark: 0x6e640000 });
  await open(b, "b");
  assert.equal((await a.run("wg", "show", a.device, "fwmark")).stdout.trim(), "0x6e640000");
  // Without the mark there is no way.
  await a.run("ip", "route", "add", "table", "77", "192.0.2.0/24", "dev", "eth0");
  await a.run("ip", "rule", "add", "fwmark", "0x6e640000/0xffff0000", "lookup", "77");
  await a.run("ip", "route", "del", "192.0.2.0/24", "dev", "eth0");
  await setPeers(b, peer("a"));
  const more = ["10.8.0.0/16", "0.0.0.0/0", "::/0"];
  const routed = ["100.64.0.2", "fd00:6e78::2"];
  await setPeers(a, { ...peer("b", `${b.address}:${PORT}`, more), routes: routed });
  assert.deepEqual(await routes(a), routed);
  assert.ok((await stats(a))[0]!.allowedIps.includes("0.0.0.0/0"));
  assert.ok(await until(() => ping(a, "100.64.0.2"), "a ping by the marked way"));
});

test("keeps off the networks that the host is in", async ({ open, a }) => {
  await assert.rejects(
    open(a, "a", { ranges: ["192.0.0.0/8"] }),
    /Cannot create interface \S+: 192.0.0.0\/8 of the VPC and 192.0.2.0\/24 of this host's eth0 overlap; use/,
  );
  await assert.rejects(open(a, "a", { addresses: ["192.0.2.9/32"] }), /overlap/);
  assert.notEqual((await a.run("ip", "link", "show", a.device)).code, 0);
  await open(a, "a", { ranges: ["100.64.0.0/10"] });
  await setPeers(a, peer("b", undefined, ["192.0.2.7/32", "10.8.0.0/24"]));
  assert.deepEqual(await routes(a), ["10.8.0.0/24", "100.64.0.2", "fd00:6e78::2"]);
  // The host comes into a network, and leaves it.
  await a.run("ip", "address", "add", "10.8.0.5/16", "dev", "eth0");
  await setPeers(a, peer("b", undefined, ["10.8.0.0/24"]));
  assert.deepEqual(await routes(a), ["100.64.0.2", "fd00:6e78::2"]);
  await a.run("ip", "address", "del", "10.8.0.5/16", "dev", "eth0");
  await setPeers(a, peer("b", undefined, ["10.8.0.0/24"]));
  assert.deepEqual(await routes(a), ["10.8.0.0/24", "100.64.0.2", "fd00:6e78::2"]);
});

test("cleans up after a crashed agent, and only then", async ({ open, driver, a }) => {
  const daemons = driver === "kernel" ? 0 : 1;
  await open(a, "a");
  await assert.rejects(
    a.call({ call: "cleanLeftover", name: a.device }),
    /belongs to a running nexd/,
  );
  await a.end("crash");
  assert.equal((await a.daemons()).length, daemons);
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
  assert.equal((await a.daemons()).length, daemons);
  await a.call({ call: "close" });

  // An interface that took the name meanwhile is not ours.
  await open(a, "a");
  await a.end("crash");
  for (const pid of await a.daemons()) Deno.kill(pid, "SIGKILL");
  await until(
    async () => {
      await a.run("ip", "link", "delete", a.device);
      return (await a.run("ip", "link", "add", a.device, "type", "veth")).code === 0;
    },
    "the name to be free",
  );
  a.start();
  await a.call({ call: "cleanLeftover", name: a.device });
  assert.equal((await a.run("ip", "link", "show", a.device)).code, 0);
});

test("refuses a name or port that is taken", async ({ open, driver, a, b }) => {
  await a.run("ip", "link", "add", a.device, "type", "veth");
  await assert.rejects(open(a, "a"), /it exists and is not nexd's; .*ip link delete/);
  assert.equal((await a.run("ip", "link", "show", a.device)).code, 0);
  await a.run("ip", "link", "delete", a.device);

  await open(b, "b");
  await assert.rejects(
    open(b, "a", { name: a.device, addresses: [] }),
    new RegExp(`UDP port ${PORT}: port in use`),
  );
  assert.notEqual((await b.run("ip", "link", "show", a.device)).code, 0);

  // Marks and control sockets of all namespaces lie in one directory.
  await assert.rejects(
    open(a, "a", { name: b.device, listenPort: 0, addresses: [] }),
    /another WireGuard daemon answers|belongs to a running nexd/,
  );
  assert.equal((await b.daemons()).length, driver === "kernel" ? 0 : 1);
});

Deno.test("kernel driver says in one sentence what is missing", async () => {
  const reason = SKIP.get("wireguard-go") ??
    (SKIP.get("kernel") === undefined ? "this kernel has WireGuard" : undefined);
  // deno-lint-ignore no-console
  if (reason !== undefined) return console.log(`skip: ${reason}`);
  await using net = await TestNet.create();
  await assert.rejects(
    open("kernel", net.a, "a"),
    /^Error: Cannot use the kernel's WireGuard: .*; run modprobe wireguard, or let wireguard-go/,
  );
  const { driver } = await open("auto", net.a, "a");
  assert.equal(driver, "wireguard-go");
});

Deno.test("wireguard-go says what is missing on the host and how to get it", async () => {
  await assert.rejects(findDaemon("/nonexistent:"), {
    exitCode: 1,
    message: /wireguard-go is not in PATH; run apt-get install wireguard-go/,
  });
  if (SKIP.get("wireguard-go")) return;
  const tun = "/dev/nexd-no-such-tun";
  await assert.rejects(checkTun(tun), /Cannot open .*does not exist; run modprobe tun/);
});

Deno.test("wireguard-go refuses to start without the permission for it", async () => {
  // deno-lint-ignore no-console
  if (Deno.uid() !== 0) return console.log("skip: needs root");
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
