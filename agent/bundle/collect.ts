/**
 * What a bug report needs: how this host is set up, as far as the network goes.
 *
 * @module
 */
import { reasonOf } from "../errors.ts";
import { type RunCommand, systemProgram } from "../platform/mod.ts";
import { isSecretName, secretsIn, secretsOf, withoutSecrets } from "./secrets.ts";
import type { ArchiveFile } from "./tar.ts";

/** Longest output of one program that is kept, characters: the end of it. */
const MAX_OUTPUT = 2_000_000;

/** What is run; each output is a file. */
type Program = [file: string, program: string, ...args: string[]];
const LINUX: Program[] = [
  ["system.txt", "uname", "-a"],
  ["links.txt", "ip", "-d", "-s", "link"],
  ["addresses.txt", "ip", "address"],
  ["routes4.txt", "ip", "-4", "route", "show", "table", "all"],
  ["routes6.txt", "ip", "-6", "route", "show", "table", "all"],
  ["rules4.txt", "ip", "-4", "rule"],
  ["rules6.txt", "ip", "-6", "rule"],
  ["nft.txt", "nft", "list", "ruleset"],
  // Never showconf, which tells the private key.
  ["wireguard.txt", "wg", "show", "all"],
  ["sockets.txt", "ss", "-lunp"],
  ["service.txt", "systemctl", "status", "--no-pager", "--lines=0", "nexd.service"],
  ["log.txt", "journalctl", "--no-pager", "--lines=2000", "--unit=nexd.service"],
];

const POWERSHELL = ["-NoProfile", "-NonInteractive", "-Command"];

/** The same of other systems; never what holds the private key, or a service's settings. */
const PROGRAMS: Partial<Record<typeof Deno.build.os, () => Program[]>> = {
  darwin: () => [
    ["system.txt", "sw_vers"],
    ["addresses.txt", "ifconfig", "-a"],
    ["routes4.txt", "netstat", "-rn", "-f", "inet"],
    ["routes6.txt", "netstat", "-rn", "-f", "inet6"],
    ["names.txt", "scutil", "--dns"],
    ["wireguard.txt", "wg", "show", "all"],
    ["sockets.txt", "netstat", "-an", "-p", "udp"],
    ["service.txt", "launchctl", "print", "system/nexd.service"],
    ["log.txt", "tail", "-n", "2000", "/var/log/nexd.log"],
  ],
  windows: () => [
    ["system.txt", systemProgram("cmd.exe"), "/d", "/c", "ver"],
    ["addresses.txt", systemProgram("ipconfig.exe"), "/all"],
    ["routes.txt", systemProgram("route.exe"), "print"],
    [
      "interfaces.txt",
      systemProgram("WindowsPowerShell\\v1.0\\powershell.exe"),
      ...POWERSHELL,
      "Get-NetIPInterface | Select-Object InterfaceAlias,AddressFamily,NlMtu,InterfaceMetric," +
      "ConnectionState | ConvertTo-Json",
    ],
    ["sockets.txt", systemProgram("netstat.exe"), "-ano", "-p", "UDP"],
    ["service.txt", systemProgram("schtasks.exe"), "/query", "/tn", "nexd", "/v", "/fo", "list"],
    [
      "log.txt",
      systemProgram("WindowsPowerShell\\v1.0\\powershell.exe"),
      ...POWERSHELL,
      "Get-Content -Tail 2000 -Encoding UTF8 -LiteralPath (Join-Path $env:ProgramData " +
      "nexd\\nexd.log)",
    ],
  ],
};

/** Files that are short and tell how names are resolved, and how the kernel is set. */
const FILES = [
  "/etc/resolv.conf",
  "/etc/os-release",
  "/proc/sys/net/ipv4/ip_forward",
  "/proc/sys/net/ipv4/conf/all/rp_filter",
  "/proc/sys/net/ipv4/conf/all/src_valid_mark",
  "/proc/sys/net/ipv4/ping_group_range",
  "/proc/sys/net/ipv6/conf/all/forwarding",
  "/proc/sys/net/ipv6/conf/all/disable_ipv6",
];

/** Where to look, and what there is already. */
export interface BundleFacts {
  stateDir: string;
  environment: Readonly<Record<string, string>>;
  run: RunCommand;
  /** This one when left out. */
  os?: typeof Deno.build.os;
  /** Written by the caller: status, findings, version. */
  files: readonly ArchiveFile[];
}

/** All files of a bundle, without secrets. Never rejects: what cannot be had says why. */
export async function collect(facts: BundleFacts): Promise<ArchiveFile[]> {
  const { stateDir, environment, run, os = Deno.build.os } = facts;
  const programs = (PROGRAMS[os]?.() ?? LINUX).map(async ([name, program, ...args]) => {
    const line = `$ ${program} ${args.join(" ")}\n`;
    try {
      const { code, stdout, stderr } = await run(program, args);
      const end = code === 0 ? "" : `(status ${code})\n`;
      return { name, text: line + stdout.slice(-MAX_OUTPUT) + stderr.slice(-MAX_OUTPUT) + end };
    } catch (error) {
      return { name, text: `${line}${reasonOf(error)}\n` };
    }
  });
  const settings = (os === "linux" ? FILES : []).map(async (path) =>
    `== ${path}\n${await Deno.readTextFile(path).catch((error) => reasonOf(error) + "\n")}`
  );
  const files = [
    ...facts.files,
    ...await Promise.all(programs),
    { name: "settings.txt", text: (await Promise.all(settings)).join("") },
    { name: "state.txt", text: await listing(stateDir) },
    { name: "environment.txt", text: variables(environment) },
  ];
  const known = [...secretsOf(environment), ...await stateSecrets(stateDir)];
  return files.map(({ name, text }) => ({ name, text: withoutSecrets(text, known) }));
}

/** Names, sizes and rights of the state directory's files; never what is in them. */
async function listing(directory: string): Promise<string> {
  const lines: string[] = [`${directory}`];
  try {
    for await (const { name } of Deno.readDir(directory)) {
      const { size, mode, mtime } = await Deno.lstat(`${directory}/${name}`);
      const rights = ((mode ?? 0) & 0o7777).toString(8);
      lines.push(`${rights} ${size} ${mtime?.toISOString() ?? "?"} ${JSON.stringify(name)}`);
    }
  } catch (error) {
    lines.push(reasonOf(error));
  }
  return lines.join("\n") + "\n";
}

/** Secrets that the state directory holds, to take them out of everything else. */
async function stateSecrets(directory: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const { name, isFile } of Deno.readDir(directory)) {
      if (!isFile) continue;
      found.push(...secretsIn(await Deno.readTextFile(`${directory}/${name}`).catch(() => "")));
    }
  } catch { /* there is none */ }
  return found;
}

/** Which of our variables are set; of values only those that cannot hold a secret. */
function variables(environment: Readonly<Record<string, string>>): string {
  const names = Object.keys(environment).filter((name) => /^NEX(D|API)_|^SSL_CERT/.test(name));
  return names.sort().map((name) =>
    `${name}=${isSecretName(name) ? "<removed>" : environment[name]}\n`
  ).join("");
}
