/** The packages as a host gets them: installed, run, upgraded, removed and purged. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotLab, skip, underLoad } from "../scripts/lab/support.ts";
import { layRoot } from "./executable.ts";
import { ASK, CONTAINER, has, isRealRoot, noOverlay, run } from "./package_support.ts";
import { blocksOf } from "../scripts/documents/mod.ts";
import { executableOf, TARGETS } from "../scripts/release/mod.ts";
import { pause } from "./support.ts";
import { boot, SYSTEMD } from "./systemd_container.ts";

const PAGE = fileURLToPath(new URL("../docs/packages.md", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../scripts/package/mod.ts", import.meta.url));
let output: string;
let made: Map<string, string>;

/** Commands of the first block of docs/packages.md, as arguments of `deno task package`. */
const documented: string[][] = blocksOf("docs/packages.md", Deno.readTextFileSync(PAGE))[0]!.steps
  .map(({ command }) => command.replace(/^npx -y deno@\S+ task package /, "").split(" "));

/** Runs one of them, with `--quick` and another directory; what it made, by format. */
async function packageAs(args: string[]): Promise<Map<string, string>> {
  const more = ["--quick", "--json", "--output", output];
  const told = await run(Deno.execPath(), "run", "-A", PACKAGE, ...args, ...more);
  const lines = told.trim().split("\n").map((line) => JSON.parse(line));
  return new Map(lines.map(({ format, path }) => [format, path]));
}

Deno.test.beforeAll(async () => {
  output = await Deno.makeTempDir();
  const needs: Record<string, string> = { deb: "dpkg-deb", oci: "dpkg-deb", rpm: "rpmbuild" };
  const words = documented[0]!.join(" ");
  deepEqual(words.match(/(?<=--format )\w+/g), ["deb", "rpm", "oci"]);
  const can = await Promise.all(
    Object.entries(needs).map(async ([format, program]) => await has(program) ? format : ""),
  );
  const args = words.replaceAll(/--format (\w+) ?/g, (all, one) => can.includes(one) ? all : "");
  made = args.includes("--format") ? await packageAs(args.split(" ")) : new Map();
});

Deno.test.afterAll(() => Deno.remove(output, { recursive: true }));

Deno.test("the documented commands make the files for Windows and Homebrew's formula", async () => {
  const [, windows, brew] = documented;
  const sums = `${output}/SHA256SUMS`;
  await Deno.writeTextFile(
    sums,
    TARGETS.map((target) => `${"0".repeat(64)}  ${executableOf(target)}\n`).join(""),
  );
  const folder = (await packageAs(windows!)).get("windows")!;
  deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), [
    "install.ps1",
    "uninstall.ps1",
  ]);
  const formula = (await packageAs(brew!.map((word) => word === "SHA256SUMS" ? sums : word)))
    .get("brew")!;
  match(await Deno.readTextFile(formula), /https:\/\/files\.example\.org\/v0\.1\.0\/nexd-/);
});

Deno.test("lintian finds nothing wrong with the Debian package", async () => {
  const deb = made.get("deb");
  if (deb === undefined || !await has("lintian")) return skip("dpkg or lintian is not installed");
  const root = Deno.uid() === 0 ? ["--allow-root"] : [];
  equal(await run("lintian", ...root, "--fail-on", "error,warning", deb), "");
});

Deno.test("the Debian package needs nothing of its host that its metadata does not name", async () => {
  const deb = made.get("deb");
  if (deb === undefined) return skip("dpkg is not installed");
  const [recommends, conffiles] = [
    await run("dpkg-deb", "-f", deb, "Recommends"),
    await run("dpkg-deb", "-I", deb, "conffiles"),
  ];
  equal(recommends, "wireguard-tools, wireguard-go\n");
  const services = ["nexd", "nexd-control", "nexd-relay", "nexd-serve"];
  deepEqual(conffiles.trim().split("\n"), services.map((name) => `/etc/default/${name}`));
  const files = (await run("dpkg-deb", "-c", deb)).trim().split("\n").map((l) => l.split(/\s+/));
  deepEqual([...new Set(files.map(([, owner]) => owner))], ["root/root"]);
  const unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -xO "./usr/share/doc/nexd/$2"';
  const notices = `${unpack} | gzip -d`;
  match(await run("sh", "-c", notices, "sh", deb, "NOTICES.gz"), /^hono \S+ \(MIT\)$/m);
  match(await run("sh", "-c", unpack, "sh", deb, "copyright"), /^Files: usr\/lib\/nexd\/app\/\*$/m);
});

Deno.test("the RPM package holds the same program and settings that an upgrade keeps", async () => {
  const rpm = made.get("rpm");
  if (rpm === undefined) return skip("rpmbuild is not installed");
  const files = (await run("rpm", "-qpl", rpm)).trim().split("\n");
  for (const path of ["/usr/bin/nexd", "/usr/lib/nexd/runtime/nexd", "/etc/default/nexd-relay"]) {
    ok(files.includes(path), path);
  }
  equal(files.filter((path) => path.startsWith("/usr/lib/systemd/system/")).length, 4);
  equal((await run("rpm", "-qpc", rpm)).trim().split("\n").length, 4);
  match(await run("rpm", "-qp", "--recommends", rpm), /^wireguard-go$/m);
  const [unit, script] = [`${output}/unit`, `rpm2cpio "$1" | cpio -i --quiet --to-stdout "$2"`];
  if (!await has("cpio")) return skip("cpio is not installed: the payload is not unpacked");
  const path = "./usr/lib/systemd/system/nexd-relay.service";
  await Deno.writeTextFile(unit, await run("sh", "-c", script, "sh", rpm, path));
  match(await Deno.readTextFile(unit), /^ExecStart=\/usr\/bin\/nexd relayderp$/m);
});

Deno.test("the RPM package is installed, keeps changed settings, and leaves only them", async () => {
  const rpm = made.get("rpm");
  if (rpm === undefined || !isRealRoot()) return skip("this needs rpmbuild, and root");
  // rpm's own complaint that Debian has another package manager is no concern.
  const root = await Deno.makeTempDir({ dir: output });
  await layRoot(root);
  const call = (...args: string[]) => run("rpm", "--root", root, "--nodeps", ...args);
  const names = async () =>
    (await run("find", root, "-name", "*nexd*", "-not", "-path", "*/var/lib/rpm/*"))
      .trim().split("\n").map((path) => path.slice(root.length)).sort();
  const before = await names();
  await call("--install", rpm);
  equal(await call("--verify", "nexd"), "");
  const version = (await run("rpm", "-qp", "--queryformat", "%{VERSION}", rpm)).trim();
  const start = 'mount -t proc proc "$1/proc" && exec chroot "$1" /usr/bin/env -i nexd version';
  const said = await run("unshare", "--mount", "sh", "-c", start, "sh", root);
  equal(said.trim().replaceAll("-", "~"), version);
  const settings = `${root}/etc/default/nexd-relay`;
  equal((await Deno.stat(settings)).mode! & 0o777, 0o600);
  await Deno.writeTextFile(settings, "NEXD_DERP_HOSTNAME=relay.example.org\n", { append: true });
  await call("--upgrade", "--replacepkgs", rpm);
  match(await Deno.readTextFile(settings), /^NEXD_DERP_HOSTNAME=relay\.example\.org$/m);
  await call("--erase", "nexd");
  deepEqual((await names()).filter((path) => !before.includes(path)), [
    "/etc/default/nexd-relay.rpmsave",
  ]);
});

Deno.test("an installed package runs its services, is upgraded, removed, and purged to the last file", async () => {
  const deb = made.get("deb");
  const systemd = await Deno.stat(SYSTEMD).then(() => true, () => false);
  if (deb === undefined || !systemd || !isRealRoot()) {
    return skip("this needs dpkg, systemd, and root");
  }
  if (await cannotLab()) return;
  const reason = await noOverlay();
  if (reason !== undefined) return skip(reason);
  await using lab = await Lab.create({ hosts: 1, nat: "open" });
  const container = await boot(lab, "a", CONTAINER, { DEB: deb });
  if (typeof container === "string") return skip(container);
  const { end } = container;
  const inside = async (...argv: string[]) => {
    const { code, stdout, stderr } = await container.inside(...argv);
    equal(code, 0, `${argv.join(" ")}: ${stdout}${stderr}`);
    return stdout;
  };
  const show = async (unit: string, property: string) =>
    (await inside("systemctl", "show", "-P", property, `${unit}.service`)).trim();
  const log = async () => (await container.inside("cat", "/run/services.log")).stdout;
  const ask = async (url: string, status: number) => {
    const { code, stderr } = await lab.host("a").run([
      ...[Deno.execPath(), "eval", "--unsafely-ignore-certificate-errors", ASK],
      ...[url, String(status)],
    ], { timeoutMs: underLoad(40_000) });
    equal(code, 0, `${stderr}\n${await log()}`);
  };
  /** Everything that differs from this machine, but what is dpkg's, man's and the manager's own. */
  const changed = async () =>
    (await inside("find", "/srv/upper", "/usr/lib/systemd/system", "/etc/systemd/system"))
      .trim().split("\n").map((path) => path.replace(/^\/srv\/upper/, ""))
      .filter((path) =>
        path !== "/etc/.pwd.lock" &&
        !/^\/(var\/(lib\/(dpkg|systemd)|cache\/man|log))(\/|$)/.test(path)
      )
      // A directory is copied when something in it changes.
      .filter((path) => path !== "" && !isDirectory(path)).sort();
  try {
    const started = Date.now();
    while ((await container.inside("systemctl", "is-active", "basic.target")).code !== 0) {
      ok(Date.now() - started < underLoad(10_000), "the manager does not come up");
      await pause(100);
    }
    const before = await changed();
    await inside("dpkg", "-i", "/srv/nexd.deb");
    equal((await inside("nexd", "version")).trim(), (await versionOf(deb)).trim());
    const names = ["nexd", "nexd-control", "nexd-relay", "nexd-serve"];
    await inside(
      ...["systemd-analyze", "verify", "--man=no"],
      ...names.map((name) => `${name}.service`),
    );
    // Nothing is configured: they have nothing to do, and have not failed.
    await inside("systemctl", "start", "nexd-relay", "nexd-control");
    for (const name of names) equal(await show(name, "ActiveState"), "inactive");
    match(await log(), /^set NEXD_DERP_HOSTNAME in \/etc\/default\/nexd-relay$/m);

    const write = (path: string, text: string) =>
      inside("sh", "-c", 'printf %s "$2" >>"$1"', "sh", path, text);
    await write(
      "/etc/default/nexd-relay",
      "NEXD_DERP_HOSTNAME=127.0.0.1\nNEXD_DERP_CERT_MODE=selfsigned\n",
    );
    await write(
      "/etc/default/nexd-control",
      "NEXD_CONTROL_HOSTNAME=localhost\nNEXD_CONTROL_ADDR=:8443\n",
    );
    const enabled = await container.inside(
      ...["systemctl", "enable", "--now", "nexd-relay", "nexd-control"],
    );
    equal(enabled.code, 0, `${enabled.stderr}\n${await log()}`);
    await ask("http://127.0.0.1/generate_204", 204);
    await ask("https://localhost:8443/ui/", 200);
    const pids = [await show("nexd-relay", "MainPID"), await show("nexd-control", "MainPID")];
    for (const pid of pids) {
      const status = await inside("cat", `/proc/${pid}/status`);
      const uid = Number(status.match(/^Uid:\s+(\d+)/m)![1]);
      ok(uid >= 61_184 && uid <= 65_519, `a user of the manager's, and not ${uid}`);
      match(status, /^CapBnd:\s+0*400$/m);
      match(status, /^NoNewPrivs:\s+1$/m);
    }

    // An upgrade: what ran runs anew, the settings stay, what did not run does not start.
    await inside("dpkg", "-i", "/srv/nexd.deb");
    await ask("http://127.0.0.1/generate_204", 204);
    await ask("https://localhost:8443/ui/", 200);
    ok(await show("nexd-relay", "MainPID") !== pids[0]);
    ok(await show("nexd-control", "MainPID") !== pids[1]);
    equal(await show("nexd", "ActiveState"), "inactive");

    await inside("dpkg", "-r", "nexd");
    for (const name of ["nexd-relay", "nexd-control"]) {
      ok((await container.inside("systemctl", "is-active", name)).code !== 0, name);
    }
    await inside("test", "-s", "/var/lib/nexd-relay/relay.key");
    equal((await container.inside("test", "-e", "/usr/bin/nexd")).code, 1);
    // As an agent and its `nexd install` would leave things.
    await inside(
      "sh",
      "-ec",
      "mkdir -p /var/lib/nexd /etc/nexd; touch /var/lib/nexd/x /etc/nexd/nexd.env",
    );
    await inside("dpkg", "-P", "nexd");
    deepEqual((await changed()).filter((path) => !before.includes(path)), []);
    equal((await container.inside("dpkg", "-s", "nexd")).code, 1);
    equal((await container.inside("sh", "-c", "ls -d /run/nexd* /run/private/nexd*")).stdout, "");
  } finally {
    await end();
  }
});

function isDirectory(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory;
  } catch {
    return false;
  }
}

const versionOf = (deb: string) => run("dpkg-deb", "-f", deb, "Version");

Deno.test("the container image serves as a user without rights on a root that cannot be written to", async () => {
  const image = made.get("oci");
  if (image === undefined || !isRealRoot()) return skip("this needs dpkg, and root");
  if (await cannotLab()) return;
  const root = await Deno.makeTempDir({ dir: output });
  await Deno.chmod(root, 0o755);
  const layout = await Deno.makeTempDir({ dir: output });
  await run("tar", "-xf", image, "-C", layout);
  const blob = (digest: string) => `${layout}/blobs/${digest.replace(":", "/")}`;
  const read = async (path: string) => JSON.parse(await Deno.readTextFile(path));
  const index = await read(`${layout}/index.json`);
  const manifest = await read(blob(index.manifests[0].digest));
  const { config } = await read(blob(manifest.config.digest));
  for (const { digest } of manifest.layers) {
    equal((await run("sha256sum", blob(digest))).split(" ")[0], digest.slice("sha256:".length));
    await run("tar", "-xzpf", blob(digest), "-C", root);
  }
  equal(config.User, "65532:65532");
  deepEqual((await Array.fromAsync(Deno.readDir(`${root}/usr`))).map(({ name }) => name).sort(), [
    "lib",
    "share",
  ]);
  const script = `
    root=$1; url=$2; status=$3; shift 3
    ip link set lo up
    # As container runtimes do.
    echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
    mount --bind "$root" "$root"
    mount -t tmpfs -o uid=65532,mode=700 tmpfs "$root/var/lib/nexd"
    mount -t tmpfs -o uid=65532,mode=700 tmpfs "$root/run/nexd"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/dev"
    for device in null zero random urandom; do
      touch "$root/dev/$device"
      mount --bind /dev/$device "$root/dev/$device"
    done
    mount -o remount,bind,ro "$root"
    chroot --userspec=65532:65532 --groups= "$root" /usr/bin/env -i true 2>/dev/null &&
      { echo "there is a program that should not be there"; exit 1; }
    env -i ${config.Env.map((text: string) => `'${text}'`).join(" ")} "$ENTER" \\
      --userspec=65532:65532 --groups= "$root" "$@" &
    child=$!
    "$DENO" eval --unsafely-ignore-certificate-errors "$ASK" "$url" "$status" || exit 1
    grep -E '^(Uid|CapEff)' /proc/$child/status
    kill $child
    wait $child
  `;
  for (
    const [url, status, ...command] of [
      ["http://127.0.0.1/generate_204", "204", "relayderp", "--hostname", "127.0.0.1"],
      ["https://localhost/ui/", "200", "control", "--hostname", "localhost"],
    ]
  ) {
    const { code, stdout, stderr } = await new Deno.Command("timeout", {
      args: [
        ...["60", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
        ...["sh", "-c", script, "sh", root, url!, status!, ...config.Entrypoint, ...command],
        "--certmode=selfsigned",
      ],
      env: { ENTER: await chroot(), DENO: Deno.execPath(), ASK },
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    equal(code, 0, said);
    match(said, /^Uid:\s+65532\s+65532/m);
    match(said, /^CapEff:\s+0+$/m);
  }
});

const chroot = async () => (await run("sh", "-c", "command -v chroot")).trim();

Deno.test("the container image is read by umoci, and crun runs it for a user without rights", async () => {
  const image = made.get("oci");
  if (image === undefined || !isRealRoot()) return skip("this needs dpkg, and root");
  for (const program of ["umoci", "crun"]) {
    if (!await has(program)) return skip(`${program} is not installed`);
  }
  if (await cannotLab()) return;
  // The tests' own directory of temporary files, in TMPDIR, is for root alone.
  const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "nexd-image-" });
  await using _ = { [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }) };
  await Deno.chmod(dir, 0o755);
  const layout = `${dir}/layout`, bundle = `${dir}/bundle`, state = `${dir}/state`;
  for (const path of [layout, state]) await Deno.mkdir(path);
  await run("tar", "-xf", image, "-C", layout);
  const tag = (await run("umoci", "list", "--layout", layout)).trim();
  await run("umoci", "unpack", "--image", `${layout}:${tag}`, bundle);
  await Deno.chmod(bundle, 0o755);
  const config = JSON.parse(await Deno.readTextFile(`${bundle}/config.json`));
  deepEqual(config.process.user, { uid: 65532, gid: 65532 });
  equal(config.process.args.at(-1), "relayderp");
  config.process.args.push("--hostname", "127.0.0.1", "--certmode", "selfsigned");
  Object.assign(config.process, { terminal: false, capabilities: {} });
  config.root.readonly = true;
  const own = ["/var/lib/nexd", "/run/nexd"];
  const mounted: { destination: string }[] = config.mounts;
  config.mounts = [
    // What a user's own namespace cannot have.
    ...mounted.filter(({ destination }) => ["/proc", "/dev", "/dev/shm"].includes(destination)),
    ...own.map((destination) => ({
      ...{ destination, type: "tmpfs", source: "tmpfs", options: ["mode=0700"] },
    })),
  ];
  const ids = [{ containerID: 65532, hostID: 65532, size: 1 }];
  config.linux = {
    namespaces: [...config.linux.namespaces, { type: "user" }],
    ...{ uidMappings: ids, gidMappings: ids },
    sysctl: { "net.ipv4.ip_unprivileged_port_start": "0" },
  };
  await Deno.writeTextFile(`${bundle}/config.json`, JSON.stringify(config));
  await run("chown", "-R", "65532:65532", state, `${bundle}/config.json`);
  // crun knows no machine with both versions of control groups.
  const script = `mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec setpriv --reuid 65532 \\
    --regid 65532 --clear-groups --bounding-set=-all env -i PATH="$PATH" XDG_RUNTIME_DIR="$1" \\
    crun --root "$1" --cgroup-manager=disabled run --bundle "$2" nexd-test-$$`;
  const child = new Deno.Command("timeout", {
    args: ["60", "unshare", "--mount", "sh", "-c", script, "sh", state, bundle],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  let told = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const seen = /^Copy that file/m.test(told);
    told += text;
    if (!seen && /^Copy that file/m.test(told)) child.kill("SIGTERM");
  }
  const { code } = await child.status;
  match(told, /^Relay 127\.0\.0\.1 serves DERP on \[::\]:443/m, await errors);
  deepEqual([code, /Restart done/.test(await errors)], [0, true], await errors);
});
