/**
 * The driver that fits the host.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { AgentError } from "../errors.ts";
import type { Backend } from "./backend.ts";
import { Device } from "./device.ts";
import {
  cleanLeftover as cleanLinux,
  KernelUnavailable,
  openKernel,
  openWireGuardGo,
} from "./linux/mod.ts";
import { cleanMacos, openMacos } from "./macos/mod.ts";
import { checkInterfaceName } from "./settings.ts";
import type { DeviceConfig, WireGuardDevice } from "./types.ts";
import { cleanWindows, openWindows } from "./windows/mod.ts";

const logger = getLogger(["nexd", "agent", "wireguard"]);

/**
 * Opens a WireGuard interface by `config.driver`: on Linux `auto` is the kernel's WireGuard where
 * there is one, else wireguard-go; on macOS it is wireguard-go, on Windows wireguard-nt. On failure nothing is
 * left behind.
 *
 * @throws {RangeConflict} while the host is in one of the VPC's ranges by another interface
 * @throws {AgentError} with one sentence and the remedy
 */
export async function openDevice(config: DeviceConfig): Promise<WireGuardDevice> {
  const backend = await open(config);
  const { name, driver, listenPort } = backend;
  logger.info("Interface {name} is up on UDP port {listenPort}, driven by {driver}", {
    name,
    listenPort,
    driver,
  });
  return new Device(backend, config.privateKey);
}

/**
 * Removes what a crashed agent left under this name: only what carries our mark. True when there was
 * something. Throws when the name belongs to a running agent.
 */
export function cleanLeftover(name: string): Promise<boolean> {
  checkInterfaceName(name);
  if (Deno.build.os === "darwin") return cleanMacos(name);
  if (Deno.build.os === "windows") return cleanWindows(name);
  return cleanLinux(name);
}

function open(config: DeviceConfig): Promise<Backend> {
  const { driver = "auto" } = config;
  switch (Deno.build.os) {
    case "linux":
      return openLinux(config);
    case "darwin":
      if (driver !== "kernel") return openMacos(config);
      throw new AgentError("Cannot use the kernel's WireGuard: macOS has none; use wireguard-go");
    case "windows":
      if (driver !== "wireguard-go") return openWindows(config);
      throw new AgentError("Cannot use wireguard-go: on Windows nexd drives wireguard-nt");
    default:
      throw new AgentError(`Cannot open a WireGuard interface on ${Deno.build.os}`);
  }
}

async function openLinux(config: DeviceConfig): Promise<Backend> {
  const { driver = "auto" } = config;
  if (driver === "wireguard-go") return await openWireGuardGo(config);
  try {
    return await openKernel(config);
  } catch (error) {
    if (driver === "kernel" || !(error instanceof KernelUnavailable)) throw error;
    logger.debug("{reason}", { reason: error.message });
    return await openWireGuardGo(config);
  }
}
