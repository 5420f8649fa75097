/** Shell and script texts of the tests of packages. */
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
