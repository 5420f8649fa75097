/**
 * The units of systemd that a package brings. The agent's and `nexd serve`'s are those of
 * `nexd install`, with the package's paths; the relay's and the control plane's are here, because only
 * packages have them.
 *
 * @module
 */
import { serveUnitText, unitText } from "../../agent/service/mod.ts";

const MARK = "# Part of the package nexd; change it with: systemctl edit";
const PROGRAM = "/usr/bin/nexd";

/** Where the settings of a service are. */
export const settingsPath = (service: string): string => `/etc/default/${service}`;

/** A service of its own user, which keeps its state where nobody else looks. */
interface Server {
  name: string;
  description: string;
  command: string;
  /** The variable without which it has nothing to do. */
  needs: string;
  /** Lines of [Service] of its own. */
  lines: string[];
  documentation: string;
}

const RELAY: Server = {
  name: "nexd-relay",
  description: "nexd relayderp, DERP relay of a WireGuard mesh",
  command: "relayderp",
  needs: "NEXD_DERP_HOSTNAME",
  documentation: "man:nexd(1)",
  lines: [
    "Type=notify",
    "NotifyAccess=main",
    "WatchdogSec=30",
    "ExecReload=/bin/kill -HUP $MAINPID",
    "Environment=NEXD_DERP_CONFIG_PATH=/var/lib/nexd-relay/relay.key",
    "Environment=NEXD_DERP_CERT_DIR=/var/lib/nexd-relay/certs",
    "Environment=NEXD_DERP_RUN_DIR=/run/nexd-relay",
    "RuntimeDirectory=nexd-relay",
    "RuntimeDirectoryPreserve=restart",
    "TimeoutStartSec=5min",
    "TimeoutStopSec=20",
  ],
};

const CONTROL: Server = {
  name: "nexd-control",
  description: "nexd control, control plane of a WireGuard mesh",
  command: "control",
  needs: "NEXD_CONTROL_HOSTNAME",
  documentation: "man:nexd(1)",
  lines: [
    "Type=exec",
    "Environment=NEXD_CONTROL_STATE_DIR=/var/lib/nexd-control",
    "TimeoutStopSec=30",
  ],
};

/**
 * A server's unit. The user exists while the service runs (DynamicUser), so nothing of it stays. It is
 * skipped, and not failed, as long as its settings lack what it needs.
 */
function serverUnit({ name, description, command, needs, lines, documentation }: Server): string {
  const missing = `set ${needs} in ${settingsPath(name)}`;
  return `${MARK} ${name}
[Unit]
Description=${description}
Documentation=${documentation}
After=network-online.target nss-lookup.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecCondition=/bin/sh -c 'test -n "$$${needs}" || { echo "${missing}" >&2; exit 1; }'
ExecStart=${PROGRAM} ${command}
EnvironmentFile=-${settingsPath(name)}
Environment=NO_COLOR=1
${lines.join("\n")}
Restart=always
RestartSec=2
KillMode=mixed
LimitNOFILE=1048576
UMask=0077
DynamicUser=yes
StateDirectory=${name}
StateDirectoryMode=0700
CacheDirectory=${name}
CacheDirectoryMode=0700
WorkingDirectory=/var/lib/${name}
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# Not MemoryDenyWriteExecute: JavaScript is compiled while it runs.

[Install]
WantedBy=multi-user.target
`;
}

/** Puts the package's mark on a unit that `nexd install` would write. */
const ofPackage = (name: string, text: string) => text.replace(/^#.*\n/, `${MARK} ${name}\n`);

/** Every unit by the name of its service. */
export function units(): Record<string, string> {
  const agent = { command: [PROGRAM], environmentFile: settingsPath("nexd") };
  const serve = { command: [PROGRAM, "serve"], environmentFile: settingsPath("nexd-serve") };
  return {
    "nexd": ofPackage("nexd", unitText(agent)),
    "nexd-control": serverUnit(CONTROL),
    "nexd-relay": serverUnit(RELAY),
    "nexd-serve": ofPackage("nexd-serve", serveUnitText(serve)),
  };
}
