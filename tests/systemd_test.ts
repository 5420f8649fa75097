/** The service under a real manager: systemd as the first process of a container on a lab's host. */
import { equal, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Lab } from "../scripts/lab/mod.ts";
import { cannotMesh, skip, underLoad } from "../scripts/lab/support.ts";
import { Mesh } from "../scripts/mesh/mod.ts";
import { pause } from "./support.ts";
import { boot, SYSTEMD } from "./systemd_container.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
/** Where the container has the program: a service sees no other's /tmp, and nobody's home. */
const DENO = "/srv/deno", SOURCE = "/srv/nexd", FILES = "/srv/files";

const CONTAINER = `
exec </dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for place in /srv /etc/nexd /etc/systemd /var/lib/nexd; do
  mkdir -p $place
  mount -t tmpfs -o mode=755 tmpfs $place
done
mkdir ${SOURCE} ${FILES} /etc/systemd/system
touch ${DENO}
mount --bind "$DENO_PATH" ${DENO}
mount --bind "$SOURCE_PATH" ${SOURCE}
cp "$LAB/control/certs/ca.crt" ${FILES}/ca.crt
cp "$LAB/relay/ca.crt" ${FILES}/relay.crt
cd /etc/systemd/system
for unit in sysinit basic multi-user network-online nss-lookup shutdown local-fs; do
  printf '[Unit]\\nDefaultDependencies=no\\n' >$unit.target
done
mkdir nexd.service.d
printf '[Service]\\nStandardOutput=append:/run/nexd.log\\nStandardError=inherit\\nWatchdogSec=4\\n' \\
  >nexd.service.d/test.conf
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  SYSTEMD_UNIT_PATH=/etc/systemd/system SYSTEMD_GENERATOR_PATH=/srv/none \\
  ${SYSTEMD} --system --unit=basic.target --log-target=null --show-status=no
`;

/** Waits until something is so. */
async function until(what: string, limitMs: number, so: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + underLoad(limitMs); !await so(); await pause(100)) {
    ok(Date.now() < end, `${what}: not within ${limitMs} ms`);
  }
}

Deno.test("systemd starts the installed service, hears that it is ready, and starts one that hangs again", async () => {
  const there = await Deno.stat(SYSTEMD).then(() => true, () => false);
  if (!there || Deno.uid() !== 0) return skip("this needs systemd, and root");
  if (await cannotMesh()) return;
  await using lab = await Lab.create({ hosts: 2, nat: "open" });
  const mesh = await Mesh.start(lab, { agents: ["b"] });
  const container = await boot(lab, "a", CONTAINER, {
    ...{ DENO_PATH: Deno.execPath(), SOURCE_PATH: ROOT },
  });
  if (typeof container === "string") return skip(container);
  const { inside, end } = container;
  try {
    const show = async (property: string) =>
      (await inside("systemctl", "show", "-P", property, "nexd.service")).stdout.trim();
    const nexd = (...args: string[]) => inside(DENO, "run", "-A", `${SOURCE}/main.ts`, ...args);
    await until("the manager", 10_000, async () => {
      return (await inside("systemctl", "is-active", "basic.target")).code === 0;
    });

    const installed = await nexd(
      ...["install", "--reg-key", mesh.regKey, "--ca", `${FILES}/ca.crt`],
      ...["--public-relay=relay:443", "--relay-ca", `${FILES}/relay.crt`],
      ...["--stun-server", "relay:3478", "--stun-server", "control:3478"],
    );
    equal(installed.code, 0, installed.stderr);
    await until("a peer in the manager's eyes", 20_000, async () => {
      return /^Running: 1 of 1 peers reached/.test(await show("StatusText"));
    });
    equal(await show("ActiveState"), "active");
    equal(await show("NRestarts"), "0");
    const b = await mesh.tunnelIp("b");
    const answers = async () => (await inside("ping", "-c1", "-W1", b)).code === 0;
    ok(await answers());
    equal((await nexd("status")).code, 0);

    // Who does not say that it lives is killed and started again.
    await inside("kill", "-STOP", await show("MainPID"));
    await until("another start", 20_000, async () => await show("NRestarts") === "1");
    await until("an answer from the peer", 20_000, answers);
    equal(await show("ActiveState"), "active");

    equal((await nexd("uninstall")).code, 0);
    const left = [["ip", "-brief", "link"], ["nft", "list", "tables"], ["cat", "/etc/hosts"]];
    for (const look of left) {
      const { code, stdout } = await inside(...look);
      equal(code, 0);
      ok(!/wg0|nexd/.test(stdout), stdout);
    }
    equal((await inside("systemctl", "is-active", "nexd.service")).stdout.trim(), "inactive");
  } finally {
    await end();
  }
});
