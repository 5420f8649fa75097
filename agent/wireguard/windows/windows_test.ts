import assert from "node:assert/strict";
import { generatePrivateKey, publicKeyOf } from "../../../relay/derp/mod.ts";
import { Device } from "../device.ts";
import { entry, TestSystem } from "../testing/system.ts";
import type { DeviceConfig } from "../types.ts";
import { cleanWindows, openWindows, type WindowsHost } from "./mod.ts";
import { runCommand } from "../../platform/mod.ts";
import { windowsPaths } from "./service.ts";

const KEY = generatePrivateKey();
const PEER = publicKeyOf(generatePrivateKey()).toBase64();
const SC = "C:\\Windows\\System32\\sc.exe";
const WIREGUARD = "C:\\Program Files\\WireGuard\\wireguard.exe";
const WG = "C:\\Program Files\\WireGuard\\wg.exe";
const FILE = "C:\\ProgramData\\nexd\\wg0.conf";
const DUMP = `${KEY.toBase64()}\t${publicKeyOf(KEY).toBase64()}\t51820\toff\r\n`;

const CONFIG: DeviceConfig = {
  name: "wg0",
  privateKey: KEY,
  listenPort: 51820,
  addresses: ["100.64.0.1/32", "fd00:6e78::1/64"],
  mtu: 1420,
};

/** Windows in memory: which configuration file the tunnel's service was installed with. */
function windows(service?: string): {
  host: WindowsHost;
  system: TestSystem;
  files: Map<string, string>;
} {
  const files = new Map<string, string>();
  const system = new TestSystem((line) => {
    if (line.startsWith(`${SC} qc`)) {
      if (service === undefined) return { code: 1060 };
      const path = `BINARY_PATH_NAME   : "${WIREGUARD}" /tunnelservice "${service}"`;
      return { stdout: `[SC] QueryServiceConfig SUCCESS\r\n        ${path}\r\n` };
    }
    if (line.startsWith(`${WIREGUARD} /install`)) service = line.split("tunnelservice ")[1]!;
    if (line.startsWith(`${WIREGUARD} /uninstall`)) service = undefined;
    if (line === `${WG} show wg0 dump`) return { stdout: DUMP };
    if (line.includes("prefix=10.9.0.0/16")) {
      return { code: 1, stdout: "Das Objekt ist bereits vorhanden.\r\n\r\n" };
    }
    return undefined;
  });
  const host: WindowsHost = {
    run: system.run,
    administrator: () => Promise.resolve(true),
    paths: windowsPaths(() => undefined),
    files: {
      protect: (path) => Promise.resolve(void system.lines.push(`(protect ${path})`)),
      write: (path, text) => Promise.resolve(void files.set(path, text)),
      remove: (path) => Promise.resolve(void files.delete(path)),
    },
    interfaces: () => [
      entry("Ethernet", "192.168.1.5", "255.255.255.0"),
      entry("wg0", "100.64.0.1", "255.255.255.255"),
      entry("wg0", "fe80::1%7", "ffff:ffff:ffff:ffff::"),
      entry("wg0", "fd00:6e78::1", "ffff:ffff:ffff:ffff::"),
    ],
  };
  return { host, system, files };
}

Deno.test("Windows driver runs a tunnel service of its own, routes, and leaves nothing", async () => {
  const { host, system, files } = windows();
  let written = "";
  const { write } = host.files;
  host.files.write = (path, text) => {
    written = text;
    return write(path, text);
  };
  const device = new Device(await openWindows(CONFIG, host), KEY);
  assert.equal(
    written,
    `[Interface]\r\nPrivateKey = ${KEY.toBase64()}\r\nListenPort = 51820\r\n` +
      "Address = 100.64.0.1/32\r\nAddress = fd00:6e78::1/64\r\nMTU = 1420\r\nTable = off\r\n",
  );
  assert.deepEqual([...files], [], "the key is off the disk");
  const lines = system.take();
  assert.deepEqual(lines, [
    `${SC} qc WireGuardTunnel$wg0`,
    `${SC} qc WireGuardTunnel$wg0`,
    "(protect C:\\ProgramData\\nexd)",
    `${WIREGUARD} /installtunnelservice ${FILE}`,
    `${SC} config WireGuardTunnel$wg0 start= demand`,
    `${WG} show wg0 dump`,
  ]);
  assert.ok(!lines.join().includes(KEY.toBase64()));
  assert.deepEqual([device.driver, device.listenPort], ["wireguard-nt", 51820]);

  const allowedIps = ["100.64.0.2/32", "10.9.0.0/16", "fd00:6e78::2", "192.168.1.7"];
  await device.setPeers([{
    publicKey: PEER,
    endpoint: "127.0.0.3:9002",
    allowedIps,
    keepaliveSeconds: 20,
  }]);
  const route = (family: string, verb: string, prefix: string) =>
    `C:\\Windows\\System32\\netsh.exe interface ${family} ${verb} route prefix=${prefix} interface=wg0 store=active`;
  assert.deepEqual(system.take(), [
    `${WG} set wg0 peer ${PEER} endpoint 127.0.0.3:9002 persistent-keepalive 20 allowed-ips ` +
    "10.9.0.0/16,100.64.0.2/32,192.168.1.7/32,fd00:6e78::2/128",
    route("ipv4", "add", "10.9.0.0/16"),
    route("ipv4", "add", "100.64.0.2/32"),
    route("ipv6", "add", "fd00:6e78::2/128"),
  ]);
  await device.setPeers([]);
  assert.deepEqual(system.take(), [
    `${WG} set wg0 peer ${PEER} remove`,
    route("ipv4", "delete", "100.64.0.2/32"),
    route("ipv6", "delete", "fd00:6e78::2/128"),
  ]);
  await device.close();
  assert.deepEqual(system.take(), [
    `${SC} qc WireGuardTunnel$wg0`,
    `${WIREGUARD} /uninstalltunnelservice wg0`,
    `${SC} qc WireGuardTunnel$wg0`,
  ]);
});

Deno.test("Windows driver removes a crashed agent's tunnel, and nobody else's", async () => {
  const ours = windows(FILE);
  assert.equal(await cleanWindows("wg0", ours.host), true);
  assert.equal(await cleanWindows("wg0", ours.host), false);
  const foreign = windows("C:\\Users\\x\\wg0.conf");
  assert.equal(await cleanWindows("wg0", foreign.host), false);
  await assert.rejects(openWindows(CONFIG, foreign.host), /tunnel of that name .* not nexd's/);
  assert.ok(!foreign.system.lines.some((line) => line.includes("uninstall")));
});

Deno.test("Windows driver leaves nothing behind when it may not install", async () => {
  const { host, system, files } = windows();
  const { answer } = system;
  system.answer = (line) =>
    line.includes("/installtunnelservice")
      ? { code: 5, stderr: "Access is denied." }
      : answer(line);
  await assert.rejects(
    openWindows(CONFIG, host),
    /Cannot install the tunnel service of wg0: Access is denied\.; run nexd as administrator/,
  );
  assert.deepEqual([...files], []);
});

Deno.test("Windows driver says what is missing: rights, WireGuard, a name, a port, an address", async () => {
  const refused = async (change: (made: ReturnType<typeof windows>) => void, config = CONFIG) => {
    const made = windows();
    change(made);
    return await openWindows(config, made.host).then(() => assert.fail(), String);
  };
  assert.match(
    await refused(({ host }) => host.administrator = () => Promise.resolve(false)),
    /no administrator's rights; start the terminal as administrator/,
  );
  // The real way to a program that is not there.
  assert.match(
    await refused(({ host }) => {
      const { run } = host;
      host.run = (program, args, options) =>
        program === WIREGUARD ? runCommand(program, args, options) : run(program, args, options);
    }),
    /wireguard\.exe: there is no such program; install WireGuard for Windows 0\.5 or newer from/,
  );
  for (const name of ["nul", "COM1", "con.x"]) {
    assert.match(await refused(() => {}, { ...CONFIG, name }), /Windows keeps it for a device/);
  }
});
