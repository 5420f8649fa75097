/**
 * What this machine lacks and what would mend it, decided from facts handed in.
 *
 * @module
 */

/** Commands the lab, the demo and the tests call, with the Debian package that has each. */
export const NEEDED: Readonly<Record<string, string>> = {
  ip: "iproute2",
  nft: "nftables",
  "wireguard-go": "wireguard-go",
  wg: "wireguard-tools",
  ping: "iputils-ping",
  iperf3: "iperf3",
  unshare: "util-linux",
  nsenter: "util-linux",
  flock: "util-linux",
  mount: "mount",
  hostname: "hostname",
  sysctl: "procps",
};

/** What some tests use on top, and skip without. */
export const WANTED_BY_TESTS: Readonly<Record<string, string>> = {
  pebble: "pebble",
  "pebble-challtestsrv": "pebble",
  postgres: "postgresql",
  shellcheck: "shellcheck",
  "systemd-analyze": "systemd",
  lintian: "lintian",
  rpmbuild: "rpm",
  cpio: "cpio",
  ruby: "ruby",
  curl: "curl",
  crun: "crun",
  umoci: "umoci",
  chromium: "chromium",
};

/** Where Debian keeps commands that are not in the path, with a folder of each version between. */
export const VERSIONED: Readonly<Record<string, readonly [dir: string, below: string]>> = {
  postgres: ["/usr/lib/postgresql", "bin"],
};

/** Files to write before a package comes, unless they are there. */
export const BEFORE: Readonly<Record<string, readonly [path: string, text: string]>> = {
  // The tests start servers of their own; none is made, or started with the machine.
  postgresql: ["/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n"],
};

/** What is known about this machine. */
export interface Facts {
  root: boolean;
  /** Needed commands that are not there. */
  missing: string[];
  /** Commands that are not there and can be done without. */
  wanted?: string[];
  /** Text of /etc/os-release; empty when there is none. */
  osRelease: string;
  hasApt: boolean;
  /** How opening /dev/net/tun for reading and writing went. */
  tun: "usable" | "absent" | "refused" | "no-driver";
}

/** What to do about it, in order. */
export type Step =
  | { do: "install"; packages: string[]; optional?: true }
  | { do: "make-tun" }
  | { do: "give-up"; because: string };

/** What root runs to make the TUN device usable for all, by what is wrong with it. */
const TUN_COMMANDS = {
  absent: "mkdir -p /dev/net && mknod -m 666 /dev/net/tun c 10 200",
  refused: "chmod 666 /dev/net/tun",
  "no-driver": "modprobe tun",
} as const;
/** The same in words. */
const TUN_STATES = {
  absent: "it is not there",
  refused: "it is for root only",
  "no-driver": "its driver is not loaded",
} as const;

/** `apt-get` arguments that install packages without asking. */
export function installArguments(packages: string[]): string[] {
  // Another apt, such as the nightly one, holds the lock for a minute at most.
  return [
    "install",
    "-y",
    "--no-install-recommends",
    "-o",
    "DPkg::Lock::Timeout=60",
    ...packages,
  ];
}

/** Decides the steps. At most one gives up, and it is the last. */
export function planSetup(facts: Facts): Step[] {
  const { missing, root, tun } = facts;
  const packages = packagesOf(missing, NEEDED);
  const steps: Step[] = [];
  if (packages.length > 0) {
    if (!facts.hasApt || !isDebianLike(facts.osRelease)) {
      const system = nameOf(facts.osRelease);
      return [giveUp(
        `Cannot find ${missing.join(", ")}: install what has them on ${system} ` +
          `(on Debian: ${packages.join(", ")}), then start again`,
      )];
    }
    if (!root) {
      const commands = [
        "apt-get update",
        `apt-get install -y --no-install-recommends ${packages.join(" ")}`,
        ...(tun === "usable" ? [] : [TUN_COMMANDS[tun]]),
      ];
      return [giveUp(
        `Cannot find ${missing.join(", ")}: run this once, then start again:\n` +
          `  sudo sh -c '${commands.join(" && ")}'`,
      )];
    }
    steps.push({ do: "install", packages });
  }
  const optional = packagesOf(facts.wanted ?? [], WANTED_BY_TESTS);
  if (optional.length > 0 && root && facts.hasApt && isDebianLike(facts.osRelease)) {
    steps.push({ do: "install", packages: optional, optional: true });
  }
  if (tun === "usable") return steps;
  if (root && tun !== "refused") return [...steps, { do: "make-tun" }];
  steps.push(giveUp(
    root
      ? "Cannot open /dev/net/tun: the system refuses it; in a container add " +
        "--device /dev/net/tun --cap-add NET_ADMIN (or --privileged)"
      : `Cannot open /dev/net/tun: ${TUN_STATES[tun]}; run this once, then start again:\n` +
        `  sudo sh -c '${TUN_COMMANDS[tun]}'`,
  ));
  return steps;
}

function packagesOf(commands: string[], table: Readonly<Record<string, string>>): string[] {
  return [...new Set(commands.map((command) => table[command] ?? command))].sort();
}

function giveUp(because: string): Step {
  return { do: "give-up", because };
}

function field(osRelease: string, name: string): string {
  const line = osRelease.split("\n").find((l) => l.startsWith(`${name}=`)) ?? "";
  return line.slice(name.length + 1).replaceAll('"', "").trim();
}

function isDebianLike(osRelease: string): boolean {
  const ids = `${field(osRelease, "ID")} ${field(osRelease, "ID_LIKE")}`.split(/\s+/);
  return ids.includes("debian") || ids.includes("ubuntu");
}

function nameOf(osRelease: string): string {
  return field(osRelease, "PRETTY_NAME") || "this system";
}
