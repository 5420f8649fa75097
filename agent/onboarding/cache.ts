/**
 * `cache.json` beside the state file: the last known VPC, so that a restart brings the tunnel up
 * before, or without, the control plane. Losing it costs only that; a damaged one is ignored.
 *
 * @module
 */
import type { Device, DeviceMetadata, Vpc } from "../../control/api/types.ts";
import { isObject, parseDevice, parseMetadata, parseVpc } from "../api/mod.ts";
import { readPrivate, writePrivate } from "./files.ts";

const MAX_FILE = 64 << 20;

/** What the NAT looked like when it was last measured. */
export interface NatFacts {
  /** Reflexive `ip:port` of WireGuard's port. */
  reflexive?: string;
  /** Undefined: could not be told. */
  symmetric?: boolean;
}

/** The last known state of the VPC. Holds no secrets: sealed tokens are left out. */
export interface CachedVpc {
  device: Device;
  vpc: Vpc;
  devices: Device[];
  metadata: DeviceMetadata[];
  nat: NatFacts;
}

/** Reads the cache of the device with this public key (base64), if there is one. */
export async function readCache(dir: string, publicKey: string): Promise<CachedVpc | undefined> {
  try {
    const value: unknown = JSON.parse((await readPrivate(`${dir}/cache.json`, MAX_FILE)) ?? "null");
    if (!isObject(value)) return undefined;
    const device = parseDevice(value.device), vpc = parseVpc(value.vpc);
    if (device?.public_key !== publicKey || vpc === undefined) return undefined;
    const nat = isObject(value.nat) ? value.nat : {};
    return {
      device,
      vpc,
      devices: rows(value.devices, parseDevice),
      metadata: rows(value.metadata, parseMetadata),
      nat: {
        ...(typeof nat.reflexive === "string" ? { reflexive: nat.reflexive } : {}),
        ...(typeof nat.symmetric === "boolean" ? { symmetric: nat.symmetric } : {}),
      },
    };
  } catch {
    return undefined;
  }
}

/** Writes the cache (0600, in one step). */
export async function writeCache(dir: string, cache: CachedVpc): Promise<void> {
  await writePrivate(
    `${dir}/cache.json`,
    JSON.stringify({
      ...cache,
      device: withoutToken(cache.device),
      devices: cache.devices.map(withoutToken),
    }),
  );
}

function withoutToken({ bearer_token: _, ...device }: Device): Device {
  return device;
}

function rows<T>(value: unknown, parse: (item: unknown) => T | undefined): T[] {
  return Array.isArray(value) ? value.map(parse).filter((item) => item !== undefined) : [];
}
