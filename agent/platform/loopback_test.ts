import assert from "node:assert/strict";
import { hostsFilePath } from "./hosts_path.ts";
import { loopbackAliases, type LoopbackHost } from "./loopback.ts";

async function withMac(
  test: (host: LoopbackHost, lines: string[], refuse: (text: string) => void) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  const lines: string[] = [];
  let refusal = "";
  const host: LoopbackHost = {
    os: "darwin",
    run: (program, args) => {
      lines.push([program, ...args].join(" "));
      return Promise.resolve({ code: refusal ? 1 : 0, stdout: "", stderr: refusal });
    },
    interfaces: () => [{ name: "lo0", address: "127.0.0.1" }, {
      name: "lo0",
      address: "127.0.0.9",
    }],
    note: `${dir}/loopback.json`,
  };
  try {
    await test(host, lines, (text) => refusal = text);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const ADD = (address: string) => `/sbin/ifconfig lo0 inet ${address} netmask 255.255.255.255 alias`;
const REMOVE = (address: string) => `/sbin/ifconfig lo0 inet ${address} -alias`;

Deno.test("loopback aliases are added on macOS, and only the own are removed", async () => {
  await withMac(async (host, lines, refuse) => {
    const aliases = loopbackAliases("wg0", host);
    await Promise.all([
      aliases.add("127.0.0.3"),
      aliases.add("127.0.0.9"),
      aliases.add("127.1.0.0"),
    ]);
    await aliases.remove("127.0.0.9");
    await aliases.remove("127.0.0.3");
    assert.deepEqual(lines.splice(0), [ADD("127.0.0.3"), ADD("127.1.0.0"), REMOVE("127.0.0.3")]);
    await aliases.close();
    assert.deepEqual(lines.splice(0), [REMOVE("127.1.0.0")]);
    await assert.rejects(Deno.stat(host.note), Deno.errors.NotFound);
    for (const bad of ["127.0.0.1", "10.0.0.1", "127.0.0.256", "127.0.0.3 up"]) {
      await assert.rejects(aliases.add(bad), /Not a loopback address/);
    }
    refuse("ifconfig: ioctl (SIOCAIFADDR): permission denied");
    await assert.rejects(aliases.add("127.0.0.4"), /Cannot add 127.0.0.4 .*run nexd as root/);
  });
});

Deno.test("loopback aliases of a crashed agent are removed at the next start", async () => {
  await withMac(async (host, lines) => {
    await loopbackAliases("wg0", host).add("127.0.0.3");
    lines.length = 0;
    const next = loopbackAliases("wg0", host);
    await next.repair();
    await next.repair();
    assert.deepEqual(lines.splice(0), [REMOVE("127.0.0.3")]);
    await Deno.writeTextFile(host.note, '["127.0.0.1", "10.0.0.1", 5, "127.0.0.8"]');
    await next.repair();
    assert.deepEqual(lines, [REMOVE("127.0.0.8")]);
  });
});

Deno.test("loopback aliases need nothing where all of 127.0.0.0/8 is local", async () => {
  await withMac(async (host, lines) => {
    const aliases = loopbackAliases("wg0", { ...host, os: "linux" });
    await aliases.add("127.0.0.3");
    await aliases.close();
    assert.deepEqual(lines, []);
  });
});

Deno.test("hosts file has its place on each system", () => {
  assert.equal(hostsFilePath("linux"), "/etc/hosts");
  assert.equal(hostsFilePath("darwin"), "/etc/hosts");
  assert.equal(
    hostsFilePath("windows", () => "D:\\Win"),
    "D:\\Win\\System32\\drivers\\etc\\hosts",
  );
});
