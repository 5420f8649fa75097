/**
 * What the agent needs of the host itself.
 *
 * @module
 */
import { reasonOf } from "../errors.ts";
import { isAdministrator } from "../platform/mod.ts";
import { windowsPaths } from "../wireguard/mod.ts";
import { about, type Finding } from "./finding.ts";
import type { System } from "./system.ts";

/** Linux capabilities that the agent uses, by bit (capabilities(7)). */
const CAPABILITIES = [["CAP_NET_ADMIN", 12n, true], ["CAP_NET_RAW", 13n, false]] as const;

/** May it make interfaces, and send from WireGuard's port? */
export async function checkPermissions(system: System): Promise<Finding[]> {
  const say = about("permissions");
  if (system.os === "windows") {
    const env = (name: string) => Deno.env.get(name);
    if (await isAdministrator({ run: system.run, env })) return [say.ok("administrator")];
    return [say.broken(
      "no administrator's rights, so no interface can be made",
      "start the terminal as administrator, or run nexd install there",
    )];
  }
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(await system.read("/proc/self/status") ?? "");
  if (effective === null) {
    if (system.uid === 0) return [say.ok("root")];
    return [say.broken("not root", "run nexd as root, or install it as a service")];
  }
  const bits = BigInt(`0x${effective[1]}`);
  const missing = CAPABILITIES.filter(([, bit]) => (bits >> bit & 1n) === 0n);
  if (missing.length === 0) return [say.ok("CAP_NET_ADMIN and CAP_NET_RAW")];
  return missing.map(([name, , needed]) =>
    needed
      ? say.broken(
        `${name} is missing, so no interface can be made`,
        "run nexd as root; in a container add --cap-add NET_ADMIN",
      )
      : say.warning(
        `${name} is missing, so the NAT is measured at the start only`,
        "run nexd as root; in a container add --cap-add NET_RAW",
      )
  );
}

/** Which WireGuard there is. */
async function drivers(
  system: System,
): Promise<{ kernel: boolean; userspace: string | undefined }> {
  const loaded = await system.stat("/sys/module/wireguard") !== undefined;
  const loadable = loaded || system.os !== "linux"
    ? loaded
    : await system.run("modprobe", ["-n", "-q", "wireguard"]).then(({ code }) => code === 0)
      .catch(() => false);
  const userspace = await system.find("nexd-wireguard-go") ?? await system.find("wireguard-go");
  return { kernel: loadable, userspace };
}

/** Is there a WireGuard to drive? */
export async function checkDriver(
  system: System,
  { driver }: { driver: string },
): Promise<Finding[]> {
  const say = about("WireGuard");
  if (system.os === "windows") return [await windowsDriver(system, driver)];
  const { kernel, userspace } = await drivers(system);
  const wg = await system.find("wg");
  if (driver !== "wireguard-go" && kernel) {
    if (wg !== undefined) return [say.ok("kernel module, configured by wg")];
    if (driver === "kernel" || userspace === undefined) {
      return [say.broken("the kernel's is there, but wg is not", installOf("wireguard-tools"))];
    }
    return [say.note(`${userspace}: the kernel's needs wg`, installOf("wireguard-tools"))];
  }
  if (driver === "kernel" && system.os === "darwin") {
    return [say.broken(
      "macOS has none in its kernel, and --wireguard-driver asks for it",
      "leave the flag out",
    )];
  }
  if (driver === "kernel") {
    return [say.broken(
      "the kernel has no WireGuard, and --wireguard-driver asks for it",
      "load the module wireguard, or leave the flag out",
    )];
  }
  if (userspace !== undefined) return [say.ok(userspace)];
  if (system.os === "darwin") {
    return [say.broken(
      "there is no wireguard-go",
      "run brew install wireguard-go, not as root",
    )];
  }
  return [say.broken(
    "there is neither the kernel's WireGuard nor wireguard-go",
    installOf("wireguard-go"),
  )];
}

async function windowsDriver(system: System, driver: string): Promise<Finding> {
  const say = about("WireGuard");
  if (driver === "wireguard-go") {
    return say.broken(
      "on Windows nexd drives wireguard-nt, and --wireguard-driver asks for wireguard-go",
      "leave the flag out",
    );
  }
  const { wireguard, wg } = windowsPaths((name) => Deno.env.get(name));
  for (const path of [wireguard, wg]) {
    if (await system.stat(path) !== undefined) continue;
    return say.broken(
      `${path} is missing`,
      "install WireGuard for Windows 0.5 or newer from https://www.wireguard.com/install/",
    );
  }
  return say.ok(wireguard);
}

/** The device that userspace WireGuard needs. */
export async function checkTun(
  system: System,
  { driver }: { driver: string },
): Promise<Finding[]> {
  if (system.os !== "linux") return [];
  const say = about("TUN");
  try {
    await system.open("/dev/net/tun");
    return [say.ok("/dev/net/tun")];
  } catch (error) {
    const { kernel } = await drivers(system);
    const absent = error instanceof Deno.errors.NotFound;
    const text = `/dev/net/tun: ${absent ? "it does not exist" : reasonOf(error, 80)}`;
    const remedy = absent
      ? "run modprobe tun, or give the container the device (--device /dev/net/tun)"
      : "run nexd as root";
    if (kernel && driver !== "wireguard-go") {
      return [say.note(`${text}; the kernel's WireGuard \
does without`)];
    }
    return [say.broken(text, remedy)];
  }
}

const installOf = (name: string) => `run apt-get install ${name}, or what your system has for it`;

/** Programs of the system. */
export async function checkTools(system: System): Promise<Finding[]> {
  if (system.os !== "linux") return [];
  const say = about("tools");
  const wanted = [
    ["ip", "iproute2", true, "addresses and routes"],
    ["nft", "nftables", true, "security groups, routers and exit nodes"],
  ] as const;
  const there: string[] = [], findings: Finding[] = [];
  for (const [program, name, needed, use] of wanted) {
    if (await system.find(program) !== undefined) there.push(program);
    else {
      const text = `${program} is missing, for ${use}`;
      findings.push(
        needed ? say.broken(text, installOf(name)) : say.warning(text, installOf(name)),
      );
    }
  }
  return there.length === 0 ? findings : [say.ok(there.join(", ")), ...findings];
}

/** Keys and state. */
export async function checkStateDir(
  system: System,
  { stateDir }: { stateDir: string },
): Promise<Finding[]> {
  const say = about("state");
  const directory = await system.stat(stateDir);
  if (directory === undefined) {
    return [say.note(`${stateDir} does not exist; the first start makes it`)];
  }
  if (!directory.directory) {
    return [say.broken(`${stateDir} is no directory`, "move it away, or choose --state-dir")];
  }
  const findings: Finding[] = [];
  if ((directory.mode & 0o022) !== 0) {
    findings.push(say.warning(`others may write in ${stateDir}`, `run chmod 700 ${stateDir}`));
  }
  const file = await system.stat(`${stateDir}/state.json`);
  if (file !== undefined && (file.mode & 0o077) !== 0) {
    findings.push(say.broken(
      `others may read the private key in ${stateDir}/state.json`,
      `run chmod 600 ${stateDir}/state.json`,
    ));
  }
  const text = file === undefined ? undefined : await system.read(`${stateDir}/state.json`);
  if (text !== undefined && !isObject(text)) {
    findings.push(say.warning(
      `${stateDir}/state.json is damaged: the next start gets new keys`,
      "restore it from a backup to keep the tunnel address",
    ));
  }
  try {
    await system.tryWrite(stateDir);
  } catch (error) {
    findings.push(say.broken(
      `nothing can be written in ${stateDir}: ${reasonOf(error, 80)}`,
      "make room, mount it writable, or run nexd as its owner",
    ));
  }
  return findings.length > 0 ? findings : [say.ok(stateDir)];
}

function isObject(text: string): boolean {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** An interface of that name that nobody runs. */
export async function checkInterface(
  system: System,
  { interfaceName, status }: { interfaceName: string; status: { interface: string } | undefined },
): Promise<Finding[]> {
  if (system.os !== "linux" || status !== undefined) return [];
  const { code } = await system.run("ip", ["link", "show", "dev", interfaceName]);
  if (code !== 0) return [];
  return [
    about("interface").warning(
      `${interfaceName} exists, and no agent answers`,
      `what else uses it (ip -d link show ${interfaceName})? choose another --interface; what a ` +
        "crashed agent left goes by itself at the next start",
    ),
  ];
}
