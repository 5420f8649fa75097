/**
 * `cache.json` beside the state file: the last known VPC, so that a restart brings the tunnel up
 * before, or without, the control plane. Losing it costs only that; a damaged one is kept aside.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import type {
  Device,
  DeviceMetadata,
  RelayRegion,
  SecurityGroup,
  Vpc,
} from "../../../control/api/types.ts";
import {
  isObject,
  parseDevice,
  parseMetadata,
  parseRelayRegion,
  parseSecurityGroup,
  parseVpc,
} from "../../api/mod.ts";
import { reasonOf } from "../../errors.ts";
import { keepAside, parseObject, readPrivate, writePrivate } from "./files.ts";

const log = getLogger(["nexd", "agent"]);

const MAX_FILE = 64 << 20;
/** Longest endpoint and most of them that are read back. */
const MAX_ENDPOINT = 56, MAX_MET = 16_384;

/** What the NAT looked like when it was last measured. */
export interface NatFacts {
  /** Reflexive `ip:port` of WireGuard's port. */
  reflexive?: string;
  /** The same over IPv6, `[ip]:port`. */
  reflexive6?: string;
  /** Undefined: could not be told. */
  symmetric?: boolean;
}

/** The last known state of the VPC. Holds no secrets: sealed tokens are left out. */
export interface CachedVpc {
  device: Device;
  vpc: Vpc;
  devices: Device[];
  securityGroups: SecurityGroup[];
  metadata: DeviceMetadata[];
  /** Public relays. */
  relayRegions?: RelayRegion[];
  nat: NatFacts;
  /** Of a WireGuard relay: where it met its peers, `ip:port` by public key. */
  met?: Record<string, string>;
}

/**
 * Reads the cache of the device with this public key (base64), if there is one. A damaged file is
 * logged, moved aside and done without.
 */
export async function readCache(
  dir: string,
  publicKey: string,
  now: Date = new Date(),
): Promise<CachedVpc | undefined> {
  const path = `${dir}/cache.json`;
  let why: string;
  try {
    const text = await readPrivate(path, MAX_FILE);
    if (text === undefined) return undefined;
    const cache = parseCache(text);
    if (typeof cache !== "string") {
      // Another key's cache is sound: this host has new keys and starts anew.
      return cache.device.public_key === publicKey ? cache : undefined;
    }
    why = `Cannot read ${path}: ${cache}`;
  } catch (error) {
    why = reasonOf(error);
  }
  const where = await keepAside(path, now).then((aside) => `it is kept as ${aside}`, reasonOf);
  log.warn("{why}; {where}; going on without it", { why, where });
  return undefined;
}

/** The cache in a file's text, or what is wrong with it. */
function parseCache(text: string): CachedVpc | string {
  const value = parseObject(text);
  if (typeof value === "string") return value;
  const device = parseDevice(value.device), vpc = parseVpc(value.vpc);
  if (device === undefined) return "it names no device";
  if (vpc === undefined) return "it names no VPC";
  const nat = isObject(value.nat) ? value.nat : {};
  return {
    device,
    vpc,
    devices: rows(value.devices, parseDevice),
    securityGroups: rows(value.securityGroups, parseSecurityGroup),
    metadata: rows(value.metadata, parseMetadata),
    relayRegions: rows(value.relayRegions, parseRelayRegion),
    nat: {
      ...(typeof nat.reflexive === "string" ? { reflexive: nat.reflexive } : {}),
      ...(typeof nat.reflexive6 === "string" ? { reflexive6: nat.reflexive6 } : {}),
      ...(typeof nat.symmetric === "boolean" ? { symmetric: nat.symmetric } : {}),
    },
    ...(isObject(value.met) ? { met: endpoints(value.met) } : {}),
  };
}

function endpoints(met: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(met).slice(0, MAX_MET).filter((entry): entry is [string, string] =>
      typeof entry[1] === "string" && entry[1].length <= MAX_ENDPOINT
    ),
  );
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
