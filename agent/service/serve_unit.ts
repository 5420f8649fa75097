/**
 * The unit of `nexd serve` as a service of systemd, as text.
 *
 * @module
 */
import { HOMES, MARK, path, type UnitFacts, word } from "./unit.ts";

/** The unit file. It needs a port below 1024 and its state directory, and nothing else of root's. */
export function serveUnitText(
  { command, source, environmentFile, stateDir, writes = [] }: UnitFacts,
): string {
  const homes = source !== undefined || command.some((text) => HOMES.test(text));
  const writable = [
    "/run",
    ...writes.map((directory) => `-${path(directory)}`),
    ...(stateDir === undefined ? [] : [path(stateDir)]),
    ...(source === undefined ? [] : [`-${path(source.cache)}`]),
  ];
  return `${MARK}
[Unit]
Description=nexd serve, control plane and relay of a WireGuard mesh
After=network-online.target nss-lookup.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=${command.map(word).join(" ")}
ExecReload=/bin/kill -HUP $MAINPID
EnvironmentFile=-${path(environmentFile)}
Environment=NO_COLOR=1
Environment=NEXD_SERVE_STATE_DIR=${stateDir === undefined ? "/var/lib/nexd/serve" : path(stateDir)}
${source === undefined ? "" : `Environment=DENO_DIR=${path(source.cache)}\n`}\
# The first start may wait for a certificate.
TimeoutStartSec=infinity
TimeoutStopSec=30
WatchdogSec=60
Restart=always
RestartSec=2
KillMode=mixed
LimitNOFILE=1048576
UMask=0077
${stateDir === undefined ? "StateDirectory=nexd/serve\nStateDirectoryMode=0700\n" : ""}\
${source === undefined ? "CacheDirectory=nexd\nCacheDirectoryMode=0700\n" : ""}
CapabilityBoundingSet=CAP_NET_BIND_SERVICE${homes ? " CAP_DAC_READ_SEARCH" : ""}
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=${writable.join(" ")}
ProtectHome=${homes || stateDir !== undefined ? "read-only" : "yes"}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute: JavaScript is compiled while it runs.

[Install]
WantedBy=multi-user.target
`;
}
