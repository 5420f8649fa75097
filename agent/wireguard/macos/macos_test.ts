import assert from "node:assert/strict";
import { generatePrivateKey, publicKeyOf } from "../../../relay/derp/mod.ts";
import { Device } from "../device.ts";
import { entry, TestSystem } from "../testing/system.ts";
import type { DeviceConfig } from "../types.ts";
import { cleanLeftover, writeMarker } from "./leftover.ts";
import { type MacDaemon, type MacHost, openMacos } from "./mod.ts";
import { AgentError } from "../../errors.ts";
import type { Prefix } from "../prefixes.ts";
import { findDaemon } from "../userspace/mod.ts";
import { configureLink, routeRefusal } from "./network.ts";

const PEER = publicKeyOf(generatePrivateKey()).toBase64();

/** A wireguard-go in memory: names an interface, answers its control socket. */
function fakeDaemon(dir: string, nameFile: string): MacDaemon & { requests: string[] } {
  const requests: string[] = [];
  const ended = Promise.withResolvers<string>();
  const listener = Deno.listen({ transport: "unix", path: `${dir}/utun7.sock` });
  const serve = async () => {
    for await (const conn of listener) {
      const buffer = new Uint8Array(65536);
      const n = await conn.read(buffer) ?? 0;
      const text = new TextDecoder().decode(buffer.subarray(0, n));
      requests.push(text);
      const answer = text.startsWith("get") ? "listen_port=51820\nerrno=0\n\n" : "errno=0\n\n";
      await conn.write(new TextEncoder().encode(answer));
      conn.close();
    }
  };
  void serve();
  setTimeout(() => Deno.writeTextFile(nameFile, "utun7\n"), 20);
  return {
    pid: 4242,
    requests,
    exited: ended.promise,
    ready: () => Promise.resolve(),
    stop: () => {
      listener.close();
      ended.resolve("wireguard-go ended (signal SIGTERM)");
      return Promise.resolve();
    },
  };
}

async function inDir(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const config = (change: Partial<DeviceConfig> = {}): DeviceConfig => ({
  name: "wg0",
  privateKey: generatePrivateKey(),
  listenPort: 51820,
  addresses: ["100.64.0.1/32", "fd00:6e78::1/64"],
  mtu: 1420,
  ...change,
});

Deno.test("macOS driver brings up the utun it is given, routes, and leaves nothing", async () => {
  if (Deno.build.os === "windows") return;
  await inDir(async (dir) => {
    const system = new TestSystem((line) => {
      if (line.startsWith("/bin/ps ")) {
        return { stdout: `Mon Nov  3 10:00:00 2025 wg ${line.at(-1)}\n` };
      }
      // route(8) of macOS ends with 0 in any case.
      if (line.includes("10.9.0.0/16")) {
        return { stdout: "add net 10.9.0.0/16: gateway utun7: File exists\n" };
      }
      if (line.startsWith("/sbin/route -n add")) {
        return { stdout: "add net 10.8.0.0: gateway utun7\n" };
      }
      return undefined;
    });
    let daemon: ReturnType<typeof fakeDaemon> | undefined;
    const host: MacHost = {
      run: system.run,
      uid: () => 0,
      findDaemon: () => Promise.resolve("/opt/homebrew/bin/wireguard-go"),
      spawn: (path, args, env) => {
        assert.deepEqual([path, ...args], ["/opt/homebrew/bin/wireguard-go", "-f", "utun"]);
        return daemon = fakeDaemon(dir, env.WG_TUN_NAME_FILE!);
      },
      interfaces: () => [entry("en0", "192.168.1.5", "255.255.255.0")],
      socketDir: dir,
      markerDir: dir,
    };
    const settings = config();
    const device = new Device(await openMacos(settings, host), settings.privateKey);
    assert.deepEqual([device.name, device.driver, device.listenPort], [
      "utun7",
      "wireguard-go",
      51820,
    ]);
    assert.deepEqual(system.take().filter((line) => !line.startsWith("/bin/ps ")), [
      "/sbin/ifconfig utun7 mtu 1420",
      "/sbin/ifconfig utun7 inet 100.64.0.1/32 100.64.0.1 alias",
      "/sbin/ifconfig utun7 inet6 fd00:6e78::1/64 alias",
      "/sbin/ifconfig utun7 up",
    ]);
    const [set] = daemon!.requests;
    assert.match(set!, new RegExp(`^set=1\nprivate_key=${settings.privateKey.toHex()}\n`));

    const allowedIps = ["100.64.0.2/32", "10.9.0.0/16", "192.168.1.0/24", "fd00:6e78::2"];
    await device.setPeers([{ publicKey: PEER, allowedIps, keepaliveSeconds: 20 }]);
    assert.deepEqual(system.take(), [
      "/sbin/route -n add -inet 10.9.0.0/16 -interface utun7",
      "/sbin/route -n add -inet 100.64.0.2/32 -interface utun7",
      "/sbin/route -n add -inet6 fd00:6e78::2/128 -interface utun7",
    ]);
    await device.setPeers([]);
    // The route that was refused is not ours to delete.
    assert.deepEqual(system.take(), [
      "/sbin/route -n delete -inet 100.64.0.2/32 -interface utun7",
      "/sbin/route -n delete -inet6 fd00:6e78::2/128 -interface utun7",
    ]);
    await device.close();
    assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), []);
  });
});

Deno.test("macOS driver says what is missing, and keeps off the host's own network", async () => {
  await inDir(async (dir) => {
    const host: MacHost = {
      run: new TestSystem().run,
      uid: () => 501,
      findDaemon: () => Promise.resolve("wireguard-go"),
      spawn: () => assert.fail("nothing is started"),
      interfaces: () => [entry("en0", "100.64.3.5", "255.255.0.0")],
      socketDir: dir,
      markerDir: dir,
    };
    await assert.rejects(openMacos(config(), host), /no permission; run nexd as root/);
    await assert.rejects(
      openMacos(config(), { ...host, uid: () => 0 }),
      /100\.64\.0\.1\/32 of the VPC and 100\.64\.0\.0\/16 of this host's en0 overlap/,
    );
  });
});

Deno.test("macOS driver ends the daemon of a crashed agent, and no other process", async () => {
  await inDir(async (dir) => {
    const alive = new Map([[Deno.pid, "agent"], [4242, "wireguard-go"]]);
    const system = new TestSystem((line) => {
      const pid = Number(line.split(" ").at(-1));
      if (line.startsWith("/bin/ps ")) {
        return alive.has(pid) ? { stdout: ` ${alive.get(pid)}\n` } : { code: 1 };
      }
      if (line.startsWith("/bin/kill -TERM")) alive.delete(pid);
      return undefined;
    });
    await writeMarker(system.run, "wg0", 4242, dir);
    await assert.rejects(cleanLeftover(system.run, "wg0", dir), /belongs to a running nexd/);
    alive.set(Deno.pid, "another program with that number");
    alive.set(4242, "another one, too");
    assert.equal(await cleanLeftover(system.run, "wg0", dir), false);
    alive.set(Deno.pid, "agent").set(4242, "wireguard-go");
    await writeMarker(system.run, "wg0", 4242, dir);
    alive.delete(Deno.pid);
    assert.equal(await cleanLeftover(system.run, "wg0", dir), true);
    assert.deepEqual(system.lines.filter((line) => line.startsWith("/bin/kill")), [
      "/bin/kill -TERM 4242",
    ]);
    assert.equal(await cleanLeftover(system.run, "wg0", dir), false);
    await Deno.writeTextFile(`${dir}/wg0.json`, '{"agent":{"pid":1}}');
    assert.equal(await cleanLeftover(system.run, "wg0", dir), false);
  });
});

Deno.test("macOS route answers are read by their text", () => {
  const said = (stdout: string, code = 0) => routeRefusal({ code, stdout, stderr: "" });
  assert.equal(said("add net 10.8.0.0/16: gateway utun5\n"), undefined);
  assert.equal(said("add net 10.8.0.0/16: gateway utun5: File exists\n"), "File exists");
  assert.equal(said("add host fd00::1: gateway utun5\n"), undefined);
  assert.equal(said("add net fd00::/64: gateway utun5: File exists\n"), "File exists");
  assert.equal(said("", 77), "exit code 77");
});

Deno.test("macOS driver gives no IPv6 address below its least MTU", async () => {
  const system = new TestSystem();
  const addresses = [
    { cidr: "100.64.0.1/32", family: 4 },
    { cidr: "fd00:6e78::1/64", family: 6 },
  ] as Prefix[];
  await configureLink(system.run, "utun7", 1200, addresses);
  assert.deepEqual(system.take(), [
    "/sbin/ifconfig utun7 mtu 1200",
    "/sbin/ifconfig utun7 inet 100.64.0.1/32 100.64.0.1 alias",
    "/sbin/ifconfig utun7 up",
  ]);
});

/** wireguard-go's words where connect(2) of tun_darwin.go says EBUSY. */
const BUSY = "wireguard-go ended (exit code 1): " +
  "ERROR: (utun5) 2026/01/02 03:04:05 Failed to create TUN device: resource busy";

Deno.test("macOS driver says that a utun is taken, and leaves no note", async () => {
  await inDir(async (dir) => {
    const system = new TestSystem((line) =>
      line.startsWith("/bin/ps ") ? { stdout: "Mon Nov  3 10:00:00 2025 x\n" } : undefined
    );
    const host: MacHost = {
      run: system.run,
      uid: () => 0,
      findDaemon: () => Promise.resolve("wireguard-go"),
      spawn: () => ({
        pid: 4242,
        exited: Promise.resolve(BUSY),
        ready: () => Promise.reject(new AgentError(`Cannot create the interface: ${BUSY}`)),
        stop: () => Promise.resolve(),
      }),
      interfaces: () => [],
      socketDir: dir,
      markerDir: dir,
    };
    await assert.rejects(
      openMacos(config({ name: "utun5" }), host),
      /Cannot create utun5: it exists already; choose another --interface, or utun for/,
    );
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  });
});

Deno.test("macOS finds wireguard-go where Homebrew puts it, or says how to get it", async () => {
  await assert.rejects(findDaemon("relative:", "linux"), /apt-get install wireguard-go/);
  if (Deno.build.os === "darwin") return; // it may be there
  await assert.rejects(findDaemon("", "darwin"), /brew install wireguard-go, not as root/);
});
