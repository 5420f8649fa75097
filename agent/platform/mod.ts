/**
 * What the agent needs of the operating system.
 *
 * @module
 */

export { type CommandOptions, type CommandResult, type RunCommand, runCommand } from "./command.ts";
export { lockFile, removeIfEmpty, tryLockFile, writeFileAtomic } from "./files.ts";
export { hostsFilePath } from "./hosts_path.ts";
export { type RefusedLine, runIp, runIpBatch } from "./iproute.ts";
export { errnoText, LINUX, type LinuxSockets, linuxSockets } from "./libc.ts";
export { type LoopbackAliases, loopbackAliases, type LoopbackHost } from "./loopback.ts";
export { readCaFile, systemCaCertificates } from "./trust.ts";
export {
  isAdministrator,
  programData,
  protectDirectory,
  SUPERUSER,
  systemProgram,
  type WindowsHost,
} from "./windows.ts";
