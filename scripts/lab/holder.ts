/**
 * The process that is a lab. `unshare` starts a shell as first process of a new pid namespace, with
 * network and mount namespaces of its own; the shell builds everything else and then waits for the
 * end of its standard input, a pipe from us. However we end, kill -9 included, the kernel closes
 * the pipe, the shell ends, and as process 1 it takes every process of the lab with it. All
 * namespaces are anonymous (even the names of `ip netns` lie in the lab's own /run), so they end
 * too: there is nothing to clean but one directory (see dirs.ts).
 *
 * @module
 */

import { environmentWithoutNexd } from "../environment.ts";
import { LabError } from "./errors.ts";
import { childrenOf, innermostPid, signal } from "./proc.ts";
import {
  hostBatch,
  hostsFile,
  routerBatch,
  routerRules,
  type Topology,
  wanBatch,
} from "./topology.ts";

/** Longest a lab may take to stand, in ms. */
const START_TIMEOUT_MS = 20_000;
/** Debian keeps ip and nft in a directory that users do not have in their PATH. */
const SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin";

/** A running lab's processes. */
export interface Holder {
  /** `unshare`; when it dies the kernel kills the lab. */
  pid: number;
  /** The first process inside, by our pid numbers. */
  init: number;
  /** One waiting process per host, by our pid numbers: what `nsenter -t` is given. */
  hosts: Record<string, number>;
  /** Tells the lab to outlive us. */
  keep(): Promise<void>;
  /** Ends the lab and waits until it is gone. */
  end(): Promise<void>;
}

/** True where namespaces come from a user namespace, because we are not root. */
function usesUserNamespace(): boolean {
  return Deno.uid() !== 0;
}

/** Flags that make `nsenter` enter the namespaces of a lab's host. */
export function enterFlags(pid: number): string[] {
  const user = usesUserNamespace() ? ["-U", "--preserve-credentials"] : [];
  // With the root directory, which need not be that of the mounts: labs run in a chroot, too.
  return ["-t", String(pid), ...user, "-n", "-m", "-u", "-p", "-r"];
}

/**
 * The environment of a lab's process: this program's without its `NEXD_…`, with the system's
 * directories in PATH, and `extra`.
 */
export function labEnv(
  extra: Record<string, string> = {},
): { clearEnv: true; env: Record<string, string> } {
  const path = Deno.env.get("PATH");
  return {
    clearEnv: true,
    env: {
      ...environmentWithoutNexd(),
      PATH: path ? `${path}:${SYSTEM_PATH}` : SYSTEM_PATH,
      ...extra,
    },
  };
}

const INIT = `set -e
exec 3<&0 9<"$1/lock" </dev/null
flock -s 9
cd "$1/setup"
mount -t tmpfs -o mode=755 run /run
ip -batch wan.ip
echo 1 >/proc/sys/net/ipv4/ip_forward
for file in router-*.ip; do
  name=\${file%.ip}
  nsenter --net="/run/netns/$name" sh -ec '
    ip -batch "$1.ip"
    echo 1 >/proc/sys/net/ipv4/ip_forward
    if [ -s "$1.nft" ]; then nft -f "$1.nft"; fi' sh "$name" &
  routers="$routers $!"
done
for file in host-*.ip; do
  name=\${file#host-}; name=\${name%.ip}
  nsenter --net="/run/netns/$name" unshare --mount --uts sh host.sh "$name" "$1" &
done
for router in $routers; do wait "$router"; done
echo wired
exec >/dev/null
(read -r word <&3 && [ "$word" = keep ] && exec sleep infinity) &
wait $!
`;

const HOST = `set -e
hostname "$1"
ip -batch "host-$1.ip"
mount -t tmpfs -o mode=755 run /run
[ /var/run -ef /run ] || mount --bind /run /var/run
mount --bind "$2/etc/$1.hosts" /etc/hosts
if [ -e /etc/resolv.conf ]; then mount --bind "$2/etc/resolv.conf" /etc/resolv.conf; fi
mkdir -p /run/wireguard
echo "host $1 $$"
exec >/dev/null 3<&- 9<&-
exec sleep infinity
`;

/** Builds the lab of a plan in its directory. */
export async function startHolder(dir: string, plan: Topology): Promise<Holder> {
  writeSetup(dir, plan);
  const userns = usesUserNamespace() ? ["--user", "--map-root-user"] : [];
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("unshare", {
      args: [
        ...userns,
        ...["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"],
        ...["sh", "-c", INIT, "nexd-lab", dir],
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      ...labEnv(),
      detached: true, // Ctrl-C is for us; we then end the lab in order
    }).spawn();
  } catch (error) {
    throw new LabError(`Cannot start a lab: ${(error as Error).message}; run the set-up first`);
  }
  const stdin = child.stdin.getWriter();
  const end = async () => {
    child.ref();
    await stdin.close().catch(() => {});
    const timer = setTimeout(() => signal(child.pid, "SIGKILL"), 2_000);
    await child.status;
    clearTimeout(timer);
  };
  try {
    const inner = await readReport(child, plan);
    const init = childrenOf(child.pid)[0];
    if (init === undefined) throw new LabError("Cannot start a lab: its first process is gone");
    const byInnerPid = new Map(childrenOf(init).map((pid) => [innermostPid(pid), pid]));
    const hosts: Record<string, number> = {};
    for (const [name, pid] of inner) hosts[name] = byInnerPid.get(pid) ?? 0;
    child.unref();
    return {
      pid: child.pid,
      init,
      hosts,
      end,
      keep: () => stdin.write(new TextEncoder().encode("keep\n")),
    };
  } catch (error) {
    await end();
    throw error;
  }
}

function writeSetup(dir: string, plan: Topology): void {
  for (const sub of ["setup", "etc", "log"]) Deno.mkdirSync(`${dir}/${sub}`);
  const write = (name: string, text: string) => Deno.writeTextFileSync(`${dir}/${name}`, text);
  write("setup/wan.ip", wanBatch(plan));
  write("setup/host.sh", HOST);
  write("etc/resolv.conf", "");
  for (const host of plan.hosts) {
    write(`setup/host-${host.name}.ip`, hostBatch(host));
    write(`etc/${host.name}.hosts`, hostsFile(host, plan));
  }
  for (const router of plan.routers) {
    write(`setup/${router.name}.ip`, routerBatch(router));
    write(`setup/${router.name}.nft`, routerRules(router));
  }
}

/** Reads until every host and the wiring are reported; returns inner pids by host name. */
async function readReport(
  child: Deno.ChildProcess,
  plan: Topology,
): Promise<Map<string, number>> {
  const timer = setTimeout(() => signal(child.pid, "SIGKILL"), START_TIMEOUT_MS);
  const errors = new Response(child.stderr).text().catch(() => "");
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const hosts = new Map<string, number>();
  let wired = false;
  let text = "";
  try {
    while (!wired || hosts.size < plan.hosts.length) {
      const { value, done } = await reader.read();
      if (done) throw new LabError(explainFailure(await errors));
      text += value;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const [what, name, pid] = line.split(" ");
        if (what === "wired") wired = true;
        if (what === "host" && name !== undefined) hosts.set(name, Number(pid));
      }
    }
    return hosts;
  } finally {
    clearTimeout(timer);
    await reader.cancel().catch(() => {});
  }
}

function explainFailure(errors: string): string {
  const said = errors.trim().replaceAll(/\s*\n\s*/g, "; ") || "it ended without a word";
  const refused = /unshare|not permitted|denied/i.test(said);
  return `Cannot start a lab: ${said}${refused ? `; ${refusalRemedy()}` : ""}`;
}

function refusalRemedy(): string {
  if (!usesUserNamespace()) {
    return "this root may not make namespaces: start the container with --privileged";
  }
  const setting = (path: string) => {
    try {
      return Deno.readTextFileSync(`/proc/sys/${path}`).trim();
    } catch {
      return undefined; // this kernel does not have it
    }
  };
  const sysctl = setting("kernel/apparmor_restrict_unprivileged_userns") === "1"
    ? "kernel.apparmor_restrict_unprivileged_userns=0"
    : setting("kernel/unprivileged_userns_clone") === "0"
    ? "kernel.unprivileged_userns_clone=1"
    : "user.max_user_namespaces=10000";
  return `this user may not make namespaces: start as root, or run \`sudo sysctl -w ${sysctl}\` once`;
}
