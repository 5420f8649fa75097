/**
 * The driver that fits the host.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { AgentError } from "../errors.ts";
import type { Backend } from "./backend.ts";
import { Device } from "./device.ts";
import { KernelUnavailable, openKernel, openWireGuardGo } from "./linux/mod.ts";
import type { DeviceConfig, WireGuardDevice } from "./types.ts";

const logger = getLogger(["nexd", "agent", "wireguard"]);

/**
 * Opens a WireGuard interface by `config.driver`: on Linux `auto` is the kernel's WireGuard where
 * there is one, else wireguard-go; on failure nothing is left behind.
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

async function open(config: DeviceConfig): Promise<Backend> {
  const { driver = "auto" } = config;
  if (Deno.build.os !== "linux") {
    throw new AgentError(`Cannot open a WireGuard interface on ${Deno.build.os}`);
  }
  if (driver === "wireguard-go") return await openWireGuardGo(config);
  try {
    return await openKernel(config);
  } catch (error) {
    if (driver === "kernel" || !(error instanceof KernelUnavailable)) throw error;
    logger.debug("{reason}", { reason: error.message });
    return await openWireGuardGo(config);
  }
}
