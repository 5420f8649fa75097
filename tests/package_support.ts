/** What the tests of packages share: texts of scripts, and what this machine can. */
import { ok } from "node:assert/strict";
import { underLoad } from "../scripts/lab/support.ts";
import { SYSTEMD } from "./systemd_container.ts";

/**
 * A root that looks like this machine's and is none: what is written stays in memory, below /srv/upper.
 * Units of the system are out of sight: they would start here.
 */
export const CONTAINER = `
exec </dev/null
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cp "$DEB" /mnt/nexd.deb
cd /mnt/root
mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p etc/systemd/system
for place in etc/systemd/system usr/lib/systemd/system; do
  mount -t tmpfs -o mode=755 tmpfs $place
done
rm -f usr/sbin/policy-rc.d
mount --bind /mnt srv
pivot_root . mnt
umount -l /mnt
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd /usr/lib/systemd/system
for unit in sysinit basic multi-user network-online nss-lookup shutdown local-fs; do
  printf '[Unit]\\nDefaultDependencies=no\\n' >$unit.target
done
mkdir service.d
printf '[Service]\\nStandardOutput=append:/run/services.log\\nStandardError=inherit\\n' \\
  >service.d/test.conf
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  SYSTEMD_UNIT_PATH=/etc/systemd/system:/usr/lib/systemd/system SYSTEMD_GENERATOR_PATH=/srv/none \\
  ${SYSTEMD} --system --unit=basic.target --log-target=null --show-status=no
`;

/** Asks until there is an answer; for a process in the network in question. */
export const ASK = `
const [url, status] = Deno.args;
for (const end = Date.now() + ${underLoad(20_000)};;) {
  try {
    const answer = await fetch(url);
    await answer.body?.cancel();
    if (answer.status !== Number(status)) throw new Error("status " + answer.status);
    break;
  } catch (error) {
    if (Date.now() > end) throw error;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
`;

/** Whether a program is in the path. */
export const has = (program: string): Promise<boolean> =>
  new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).output()
    .then(({ success }) => success);

/** Whether this is root over all users, and not only over those of a user namespace. */
export const isRealRoot = (): boolean =>
  Deno.uid() === 0 && /^\s*0\s+0\s+4294967295$/m.test(Deno.readTextFileSync("/proc/self/uid_map"));

/** Why no root can be laid over this machine's; undefined where one can. */
export async function noOverlay(): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command("unshare", {
    args: ["--mount", "sh", "-euc", CONTAINER.split("\n").slice(2, 6).join("\n")],
  }).output();
  return success ? undefined : `no overlay here: ${new TextDecoder().decode(stderr).trim()}`;
}

/** Runs a program to its end; what it prints is the message where it fails. */
export async function run(...argv: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    env: { LC_ALL: "C" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  ok(success, `${argv.join(" ")}: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}
