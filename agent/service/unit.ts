/**
 * The unit and the environment file of the agent as a service of systemd, as text.
 *
 * @module
 */
import { usageError } from "../errors.ts";

/** First line of what we wrote: other people's units are left alone. */
export const MARK = "# Written by nexd install. Changes are lost at the next one.";

/** What the unit depends on. */
export interface UnitFacts {
  /** The program with its arguments. */
  command: readonly string[];
  /** It runs from its source: the runtime reads the module and its own cache. */
  source?: { cache: string };
  /** Absolute. */
  environmentFile: string;
  /** Absolute; undefined: the usual one, which the manager makes. */
  stateDir?: string;
  /** Other directories that it writes to, absolute. */
  writes?: readonly string[];
}

/** A word of `ExecStart=` (systemd.service(5), command lines). */
export function word(text: string): string {
  if (/[\p{Cc}]/u.test(text)) throw usageError(`${JSON.stringify(text)} cannot be in a unit`);
  const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%")
    .replaceAll("$", "$$$$");
  return /^[\w@:,./=%$-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

/** A path of a setting that takes several: `%` is all that has to be escaped, spaces cannot be. */
export function path(text: string): string {
  if (/[\s\p{Cc}"'\\]/u.test(text)) {
    throw usageError(`${JSON.stringify(text)} cannot be in a unit: choose a plain path`);
  }
  return text.replaceAll("%", "%%");
}

/** Directories of people, which a unit does not see unless it is told otherwise. */
export const HOMES = /^\/(home|root|run\/user)\//;

/** The unit file. */
export function unitText({ command, source, environmentFile, stateDir }: UnitFacts): string {
  // Their files may be readable for their owners only.
  const homes = source !== undefined || command.some((text) => HOMES.test(text));
  const writable = [
    "/run",
    "-/etc/hosts",
    ...(stateDir === undefined ? [] : [path(stateDir)]),
    ...(source === undefined ? [] : [`-${path(source.cache)}`]),
  ];
  return `${MARK}
[Unit]
Description=nexd, WireGuard mesh agent
After=network-online.target nss-lookup.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=${command.map(word).join(" ")}
EnvironmentFile=-${path(environmentFile)}
Environment=NO_COLOR=1
${source === undefined ? "" : `Environment=DENO_DIR=${path(source.cache)}\n`}\
# The first start may wait for somebody to sign in.
TimeoutStartSec=infinity
TimeoutStopSec=30
WatchdogSec=60
Restart=always
RestartSec=2
# What it changed on the host it puts back itself.
KillMode=mixed
LimitNOFILE=65536
# For the packet path, see --realtime.
LimitRTPRIO=2
UMask=0077
${stateDir === undefined ? "StateDirectory=nexd\nStateDirectoryMode=0700\n" : ""}\
${source === undefined ? "CacheDirectory=nexd\nCacheDirectoryMode=0700\n" : ""}
# Interfaces, routes, nftables, WireGuard's own port; nothing else of root's rights.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE${
    homes ? " CAP_DAC_READ_SEARCH" : ""
  }
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=${writable.join(" ")}
ProtectHome=${homes || stateDir !== undefined ? "read-only" : "yes"}
PrivateTmp=yes
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# Not ProtectKernelTunables: routers and exit nodes switch forwarding on. Not
# MemoryDenyWriteExecute: JavaScript is compiled while it runs.

[Install]
WantedBy=multi-user.target
`;
}

/** The environment file: `NAME="value"` a line, for the manager alone to read. */
export function environmentText(variables: ReadonlyMap<string, string>): string {
  const lines = [...variables].map(([name, value]) => {
    if (/[\p{Cc}]/u.test(value)) throw usageError(`The value for ${name} has control characters`);
    return `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  });
  return [MARK, ...lines, ""].join("\n");
}
