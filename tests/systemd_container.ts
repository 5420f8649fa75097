/** A container on a lab's host with systemd as its first process. */
import type { Lab } from "../scripts/lab/mod.ts";

export const SYSTEMD = "/lib/systemd/systemd";

/**
 * Makes a control group and a container in it, tells its first process, and takes both away when it is
 * told to end. The manager sees no units but ours: those of the system would change this machine.
 */
const BOOT = `set -eu
mount -t tmpfs tmpfs /mnt
mkdir /mnt/all
mount -t cgroup2 cgroup2 /mnt/all
group=/mnt/all/$GROUP
mkdir $group
sh -c 'echo $$ >'$group'/cgroup.procs
  exec unshare --mount --pid --cgroup --fork --kill-child --mount-proc sh -euc "$CONTAINER"' &
container=$!
trap 'kill -KILL $container' TERM
first=
until [ "$first" ]; do
  first=$(cat /proc/$container/task/$container/children)
  sleep 0.05
done
echo container $first
wait $container || true
for i in 1 2 3 4 5 6 7 8 9 10; do
  find $group -depth -type d -exec rmdir {} + 2>/dev/null && break
  sleep 0.1
done
`;

/** Runs a command to its end in the container. */
export type Inside = (
  ...argv: string[]
) => Promise<{ code: number; stdout: string; stderr: string }>;

/**
 * Boots a container on a host, which has its network; returns why it cannot where it cannot.
 *
 * @param script what its first process does, a shell script that ends with `exec` of systemd
 * @param env variables of the script
 */
export async function boot(
  lab: Lab,
  name: string,
  script: string,
  env: Record<string, string>,
): Promise<string | { inside: Inside; end(): Promise<void> }> {
  const host = lab.host(name);
  const process = await host.spawn(["sh", "-c", BOOT], {
    log: "systemd",
    env: {
      GROUP: `nexd-test-${crypto.randomUUID().slice(0, 8)}`,
      CONTAINER: script,
      LAB: lab.dir,
      ...env,
    },
  });
  const line = await process.waitFor(/^container \d+$/, 10_000).catch((error: Error) => error);
  if (line instanceof Error) {
    process.kill("SIGKILL");
    return `no container can be made here: ${line.message}`;
  }
  const pid = line.split(" ")[1]!;
  const inside: Inside = (...argv) =>
    host.run(["nsenter", "-t", pid, "-m", "-p", "-C", "--", ...argv], { timeoutMs: 60_000 });
  return {
    inside,
    async end() {
      process.kill("SIGTERM");
      await process.exited;
    },
  };
}
